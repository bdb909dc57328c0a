//! Printing that fails in words: the standard macros panic when what they print to is gone or full.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write};

/// What a shell reports of a program that SIGPIPE ended: whoever reads had enough.
const NOBODY_READS: i32 = 141;

/// Prints to standard output. Where nobody reads any more the process ends quietly, as other tools do: all that it wrote
/// is on disk by then. Where the text cannot be written it ends with LF-7019.
pub fn to_stdout(text: Arguments<'_>) {
    let mut out = std::io::stdout().lock();
    // Flushed at once: an error at the end of the process would be nobody's.
    let Err(cause) = out.write_fmt(text).and_then(|()| out.flush()) else { return };
    if cause.kind() == ErrorKind::BrokenPipe {
        std::process::exit(NOBODY_READS);
    }
    to_stderr(format_args!(
        "error: the answer cannot be written to standard output ({cause}); free some space, or send it elsewhere [LF-7019]\n"
    ));
    std::process::exit(1);
}

/// Prints to standard error, if anybody hears it.
pub fn to_stderr(text: Arguments<'_>) {
    let _ = std::io::stderr().lock().write_fmt(text);
}

/// As `println!`, without its panic.
macro_rules! out {
    ($($text:tt)*) => { $crate::out::to_stdout(format_args!("{}\n", format_args!($($text)*))) };
}

/// As `eprintln!`, without its panic.
macro_rules! complain {
    ($($text:tt)*) => { $crate::out::to_stderr(format_args!("{}\n", format_args!($($text)*))) };
}

pub(crate) use {complain, out};
