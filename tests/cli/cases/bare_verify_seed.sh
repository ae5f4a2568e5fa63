# moeparity verify, and nothing else
verified
has out '^model      seed-mini: 16 layers'
has out '^plan       seed-32: .* on 32 ranks$'
has err '^moeparity: about [0-9]+ s on [0-9]+ core'
