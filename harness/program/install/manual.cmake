# cmake -DPROGRAM=moeparity -DFOLDER=man -P manual.cmake: the program's help as pages for man.
file(MAKE_DIRECTORY ${FOLDER})
execute_process(COMMAND ${PROGRAM} --words OUTPUT_VARIABLE commands COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${PROGRAM} --man OUTPUT_FILE ${FOLDER}/moeparity.1 COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "[a-z]+" commands "${commands}")
foreach(command IN LISTS commands)
  execute_process(COMMAND ${PROGRAM} ${command} --man OUTPUT_FILE ${FOLDER}/moeparity-${command}.1
    COMMAND_ERROR_IS_FATAL ANY)
endforeach()
