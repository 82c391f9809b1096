//! What people write: machine, hardware and lock files.

use cairn_machine::lock::{Lock, LockedDebian, LockedPackage};
use cairn_machine::{Problems, SourceFile, check, check_hardware, check_install};

use super::Target;

/// A machine file, with what it names taken from a few files that exist.
pub(super) const MACHINE: Target =
    Target { name: "machine-file", seeds: machines, words: &WORDS, most: 4096, quick: 6000, run: machine };

/// A hardware file.
pub(super) const HARDWARE: Target =
    Target { name: "hardware-file", seeds: hardwares, words: &WORDS, most: 2048, quick: 3000, run: hardware };

/// A lock file.
pub(super) const LOCK: Target =
    Target { name: "lock-file", seeds: locks, words: &WORDS, most: 4096, quick: 3000, run: lock };

const WORDS: [&str; 40] = [
    "\n",
    "  ",
    ": ",
    "- ",
    "[",
    "]",
    "{",
    "}",
    "'",
    "\"",
    "#",
    "|\n",
    ">\n",
    "&a",
    "*a",
    "!!str ",
    "<<: ",
    "---\n",
    "~",
    "null",
    "true",
    "0x7f",
    "1e9",
    "18446744073709551615",
    "-1",
    "G",
    "T",
    "16E",
    "../",
    "/",
    "\u{2028}",
    "\u{feff}",
    "\0",
    "\u{1b}[2J",
    "version: 1\n",
    "hostname: ",
    "source:\n",
    "disks:\n",
    "users:\n",
    "hardware: ",
];

fn machines() -> Vec<Vec<u8>> {
    let hello = include_str!("../../../../examples/hello.yaml");
    let grub = include_str!("../../../../examples/grub.yaml");
    vec![hello.into(), grub.into(), cairn_machine::template("hello").into()]
}

fn hardwares() -> Vec<Vec<u8>> {
    vec![
        b"version: 1\ninitrd_modules: [nvme, ahci]\nkernel_parameters: [quiet]\n".into(),
        b"version: 1\nseed: 00000000-0000-0000-0000-000000000001\nkernel_modules: [kvm]\n".into(),
    ]
}

fn locks() -> Vec<Vec<u8>> {
    let package = LockedPackage {
        name: "bash".into(),
        version: "1:2.0~rc1-3+deb13u1".into(),
        architecture: "amd64".into(),
        filename: "pool/main/b/bash/bash_2.0.deb".into(),
        size: 1234,
        sha256: "0123456789abcdef".repeat(4),
    };
    let debian = LockedDebian {
        recommends: false,
        debconf: Vec::new(),
        suite: "trixie".into(),
        components: vec!["main".into()],
        architecture: "amd64".into(),
        requested: vec!["bash".into()],
        date: 1_750_000_000,
        packages: vec![package],
    };
    vec![Lock::Debian(debian).to_yaml().into()]
}

/// Problems have a place in the file, and words on one line.
fn answered<T>(result: Result<T, Problems>, bytes: &[u8]) {
    if let Err(problems) = result {
        // YAML ends a line at either.
        let lines = bytes.split(|b| *b == b'\n' || *b == b'\r').count();
        for problem in &problems {
            assert!(problem.line <= lines + 1, "{problem}");
            assert!(!problem.message.contains('\n'), "{problem}");
        }
    }
}

fn machine(bytes: &[u8]) {
    let mut read = |_: &str| Ok(b"version: 1\n".to_vec());
    answered(check(&SourceFile::new("machine.yaml", bytes), &mut read), bytes);
}

fn hardware(bytes: &[u8]) {
    answered(check_hardware(&SourceFile::new("hardware.yaml", bytes)), bytes);
    answered(check_install(&SourceFile::new("install.yaml", bytes)), bytes);
}

fn lock(bytes: &[u8]) {
    answered(Lock::parse(&SourceFile::new("machine.lock", bytes)), bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_inputs_begin_with_is_read() {
        for seed in machines() {
            let mut read = |_: &str| Ok(b"version: 1\n".to_vec());
            check(&SourceFile::new("machine.yaml", &*seed), &mut read).unwrap();
        }
        assert!(hardwares().iter().all(|seed| check_hardware(&SourceFile::new("hardware.yaml", &**seed)).is_ok()));
        assert!(locks().iter().all(|seed| Lock::parse(&SourceFile::new("machine.lock", &**seed)).is_ok()));
    }
}
