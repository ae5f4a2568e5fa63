# Plans that are refused: the equation that fails and the nearest legal plans in
# one line; beside each, a plan next to it that is taken.
taken() # ARGS...
{
    expect 0 moeparity plan --model seed-mini "$@"
    [ ! -s err ] || fail "words on stderr: $*"
}
illegal() # PLAN REGEX: refused by every command, with legal plans beside it
{
    refused 2 "$2.*; nearest legal plans: [a-z]+=" \
        moeparity verify seed-mini --plan "$1"
    refused 2 "$2" moeparity plan --model seed-mini "$1"
    near=$(sed 's/.*nearest legal plans: //; s/ |.*//' err)
    taken "$near" # what it proposes is legal
}
wrong() # PLAN REGEX: not a plan at all
{
    refused 2 "$2" moeparity verify seed-mini --plan "$1"
    refused 2 "$2" moeparity plan --model seed-mini "$1"
}

illegal tp=3 'H % tp = 16 % 3 = 1, expected 0';                    taken tp=2
illegal pp=17 'pp = 17 exceeds L = 16 layers';                     taken pp=16
illegal pp=4,vpp=5 'pp\*vpp = 20 exceeds L = 16 layers';      taken pp=4,vpp=4
illegal tp=2,vpp=2 'vpp = 2, expected 1: pp = 1';         taken pp=2,vpp=2
illegal tp=2,mb=6,batch_reduce=4 'mb % batch_reduce = 6 % 4 = 2'; taken tp=2,mb=6,batch_reduce=3
illegal ep=65 'ep = 65 exceeds E = 64 experts';             taken dp=64,ep=64
illegal pp=2,stages=3/2 'stages sum to 5 layers, expected L = 16'
taken pp=2,stages=13/3
illegal tp=4,dp=2,ep=16 'ep\*etp = 16\*1 = 16 does not divide dp\*tp = 2\*4 = 8'
taken tp=4,dp=2,ep=8
illegal tp=2,cp=2,dp=2,ep=16 'ep\*etp = 16\*1 = 16 does not divide dp\*cp\*tp = 2\*2\*2 = 8'
taken tp=2,cp=2,dp=2,ep=8
illegal tp=2,cp=3,cp_kind=ulysses 'H % \(tp\*cp\) = 16 % \(2\*3\) = 4, expected 0 \(query heads, cp_kind=ulysses\)'
taken tp=2,cp=2,cp_kind=ulysses
taken tp=2,cp=3,cp_kind=ring
illegal tp=4,pp=2,ep=16,scope=replica 'ep\*etp = 16.*pp\*tp = .*8'
taken tp=4,pp=2,ep=8,scope=replica
illegal placement=0/1 'placement lists 2 experts, expected E = 64'

wrong tp=2,tp=2 "key 'tp' is given twice";                     taken tp=2,pp=2
wrong tpp=2 "unknown key 'tpp', expected tp, cp, cp_kind, pp, vpp"
wrong tp=0 "tp: expected a whole number .*, found '0'";        taken tp=1
wrong tp=-2 "found '-2'"
wrong tp=2.5 "found '2.5'"
wrong cp=2,cp_kind=p2p "cp_kind: expected gather, ring or ulysses, found 'p2p'"; taken cp=2,cp_kind=ring
wrong tp=two "found 'two'"
wrong tp= "found ''"
wrong dp=99999999999 "found '99999999999'"
wrong edp=3 'ep\*etp\*edp = 1\*1\*3 = 3, expected dp\*tp = 1'; taken dp=3,edp=3
wrong scope=world "scope: expected stage or replica, found 'world'"
wrong tp=4,,pp=2 "expected key=value, found ''"
wrong '' 'expected a preset'
wrong seed-33 "'seed-33' is no preset \(seed-16, seed-32,";    taken seed-32
wrong seed-32,tpp=2 "unknown key 'tpp'";                       taken seed-32,mb=4


refused 3 'none.yaml: No such file' moeparity plan none.yaml
for file in "$DATA"/plan/bad_*.yaml; do
    code=3
    [ "${file##*/}" != bad_edp.yaml ] || code=2 # well-formed, but no plan
    refused $code "${file##*/}" moeparity plan --model shadow-a "$file"
done
expect 0 moeparity plan --model shadow-a "$DATA/plan/good_uneven.yaml"
refused 2 'gpus N lists its legal plans' moeparity plan shadow-a
expect 0 moeparity plan shadow-a --gpus 4
