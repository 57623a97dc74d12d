//! The door of INT 0x80, with the i386 numbers and convention, from 32-bit
//! code: it works on every CPU.
#![allow(unsafe_code, reason = "a system call is one instruction")]

use super::door::door;

door!("int 0x80");
