//! The program: the command is its first word. See the library, which does all of it.

use std::process::ExitCode;

fn main() -> ExitCode {
    cairn_stage1::run(&std::env::args().nth(1).unwrap_or_default())
}
