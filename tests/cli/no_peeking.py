"""no_peeking.py COMMAND...: runs it where no process may look into another one, as in many containers: process_vm_readv, process_vm_writev and
pidfd_getfd say EPERM.  Exit 77 where the kernel has no filters of system calls, or this file does not know the machine's numbers.
"""
import ctypes
import os
import platform
import struct
import sys

NUMBERS = {"x86_64": (310, 311, 438), "aarch64": (270, 271, 438)}
SET_NO_NEW_PRIVS, SET_SECCOMP, FILTER = 38, 22, 2
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
SAYS_EPERM, ALLOWS = 0x00050001, 0x7FFF0000

numbers = NUMBERS.get(platform.machine())
if numbers is None:
    sys.exit(77)
steps = [(LOAD, 0, 0, 0)]
steps += [(EQUAL, len(numbers) - i, 0, number) for i, number in enumerate(numbers)]
steps += [(RETURN, 0, 0, ALLOWS), (RETURN, 0, 0, SAYS_EPERM)]
code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))


class Program(ctypes.Structure):
    _fields_ = [("n", ctypes.c_ushort), ("code", ctypes.c_void_p)]


libc = ctypes.CDLL(None)
program = Program(len(steps), ctypes.cast(code, ctypes.c_void_p))
if libc.prctl(SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 or libc.prctl(SET_SECCOMP, FILTER, ctypes.byref(program), 0, 0) != 0:
    sys.exit(77)
os.execvp(sys.argv[1], sys.argv[1:])
