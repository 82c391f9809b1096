//! The program: in an initrd's first process it is the init, elsewhere the command is its first word. See the library, which
//! does all of it.

use std::process::ExitCode;

fn main() -> ExitCode {
    if std::process::id() == 1 && std::path::Path::new("/etc/initrd-release").exists() {
        return cairn_stage1::init::run();
    }
    cairn_stage1::run(&std::env::args().nth(1).unwrap_or_default())
}
