/* harness/program/startup.h -- libraries, and signals, that end the program.
 *
 * OpenBLAS, libgomp and UCX below MPI take memory before main and after it.
 * Where they get none they wait for ever, end the process with exit code 1,
 * which here means that something differs, or crash.  So the program looks
 * first whether there is room for them: if not, that is told and the exit code
 * is 4.  Later a crash, or an exit with 1 that main did not choose, is told,
 * and the code is 5.  However it ends, what it has half written goes.
 */
#ifndef HAR_STARTUP_H
#define HAR_STARTUP_H

/* First in main: crashes are ours to tell, interrupts to clean up after.      */
void har_starting(void);

/* Last in main: it chose the exit code. */
void har_leaving(void);

#endif
