//! What there is to know of an installation that has failed: which step, what was run, what it said, the likely cause, and a code that two
//! same failures have in common. Pure.
//!
//! The code is eight letters of the SHA-256 of the essentials: the version, the step, the kind of error and the class of computer, none of
//! which says whose computer it is. Names of files, numbers and identifiers of steps and errors do not count.

use std::error::Error as StdError;
use std::os::unix::process::ExitStatusExt;

use cairn_installer::install::Broken;
use cairn_process::{Refusal, ToolError};
use nix::errno::Errno;
use sha2::{Digest, Sha256};

/// The letters of a code: none looks or sounds like another, or like a digit.
const LETTERS: &[u8; 17] = b"ACDEFHJKMNPRTVWXY";
/// So many words of what nobody has a name for say of which kind it is.
const WORDS: usize = 6;

/// What failures have in common: words of theirs, the likely cause, what can be done.
type Known = (&'static [&'static str], &'static str, &'static str);

/// The first that fits counts.
const KNOWN: [Known; 10] = [
    (
        &["the installation medium,"],
        "The stick or the disc was pulled out, or its port has failed.",
        "Start the computer from it once more. The menu can copy it to memory first: then it may go.",
    ),
    (
        &["no space left on device", "quota exceeded"],
        "Something is full: the disk, or the memory that a medium works in.",
        "On a medium: a smaller system, or more memory. Elsewhere `df -h` tells what is full.",
    ),
    (
        &["cannot allocate memory", "out of memory", "signal: 9"],
        "There is too little memory.",
        "End other programs, or take a computer with more memory.",
    ),
    (
        &["input/output error", "i/o error", "medium error"],
        "A disk, or the medium, cannot be read or written: it is worn, or its cable or port is.",
        "Try another port or cable. The medium's boot menu checks the medium; `smartctl -a` tells of a disk.",
    ),
    (
        &[
            "no such device",
            "no medium found",
            "there is no such disk",
            "the kernel has no partition",
            "no such address",
        ],
        "A disk is gone: it was pulled out, or has switched itself off.",
        "Connect it firmly, wait until `cairn disks` shows it, and begin again.",
    ),
    (
        &["device or resource busy", "text file busy"],
        "Something else uses the disk.",
        "`cairn disks` says what uses it: end that, and begin again.",
    ),
    (
        &["read-only file system", "operation not permitted", "permission denied", "write-protected"],
        "Something is protected against writing.",
        "Look for a switch on the disk or stick, and for a lock in the firmware's setup.",
    ),
    (
        &[
            "could not resolve",
            "temporary failure resolving",
            "network is unreachable",
            "no route to host",
            "connection timed out",
            "could not connect",
            "failed to fetch",
        ],
        "There is no network, or the server does not answer.",
        "Look at the cable or the Wi-Fi (`networkctl`), and begin again. A medium's own systems need no network.",
    ),
    (
        &["is not installed; "],
        "A program that is needed is missing.",
        "Install the package that is named, and begin again.",
    ),
    (
        &["does not match", "mismatch", "should hold", "is damaged", "checksum", "structure needs cleaning"],
        "What is read is not what was written: a faulty disk, medium or memory.",
        "Check the medium and the memory from the medium's boot menu, then try another disk.",
    ),
];
const UNKNOWN: (&str, &str) =
    ("Not one that is known.", "Begin again. If it comes back, tell the code to whoever helps you, and keep the log.");

/// A failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The version of this command.
    pub version: &'static str,
    /// What was being done.
    pub step: String,
    /// The program that failed, as it was run, where it was one.
    pub ran: Option<String>,
    /// What is told of it, from the outermost cause to the innermost.
    pub said: String,
    /// In a word or a few: the same for all failures of a kind.
    pub kind: String,
    /// The likely cause.
    pub cause: &'static str,
    /// What can be done.
    pub help: &'static str,
    /// What state the disk is in, and what can be done about that.
    pub left: String,
    /// The class of computer.
    pub computer: String,
}

impl Failure {
    /// Of an error in a step. `left`: what is left of the disk. `computer`: what class of computer it is.
    pub fn of(error: &anyhow::Error, step: &str, left: &str, computer: &str) -> Failure {
        let said = said(error);
        let all = causes(error);
        let tool = all.iter().find_map(|one| one.downcast_ref::<ToolError>());
        let text = said.to_lowercase();
        let known = KNOWN.iter().find(|(words, ..)| words.iter().any(|word| text.contains(word)));
        let (cause, help) = known.map_or(UNKNOWN, |(_, cause, help)| (*cause, *help));
        Failure {
            version: env!("CARGO_PKG_VERSION"),
            step: step.into(),
            ran: tool.map(|tool| match tool {
                ToolError::Missing { program, .. } => program.clone(),
                ToolError::Io { command, .. } | ToolError::Failed { command, .. } => command.clone(),
                _ => String::new(),
            }),
            kind: kind(tool, &all),
            said,
            cause,
            help,
            left: left.into(),
            computer: computer.into(),
        }
    }

    /// What the code is made of, in a line: also what a program that reads the log tells failures apart by.
    pub fn essentials(&self) -> String {
        format!("cairn {}, {}, {}, {}", self.version, words_of(&self.step), self.kind, self.computer)
    }

    /// Eight letters, in two groups.
    pub fn code(&self) -> String {
        let hash = Sha256::digest(self.essentials());
        // Of 64 bits all but nothing of what is not evenly shared is seen in eight letters of 17.
        let mut number = hash.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        let mut code = String::with_capacity(9);
        for at in 0..8 {
            if at == 4 {
                code.push('-');
            }
            let letters = LETTERS.len() as u64;
            code.push(char::from(LETTERS[usize::try_from(number % letters).unwrap_or(0)]));
            number /= letters;
        }
        code
    }
}

/// What went wrong, without what is left, which comes after it.
fn said(error: &anyhow::Error) -> String {
    let broken = error.chain().position(|cause| cause.is::<Broken>());
    let count = broken.map_or(usize::MAX, |at| at + 1);
    error.chain().take(count).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// All that an error was caused by, also what has led to a failure with something left.
fn causes(error: &anyhow::Error) -> Vec<&(dyn StdError + 'static)> {
    let mut all: Vec<&(dyn StdError + 'static)> = Vec::new();
    for cause in error.chain() {
        all.push(cause);
        all.extend(cause.downcast_ref::<Broken>().into_iter().flat_map(|broken| broken.why().chain()));
    }
    all
}

/// Which program and how it ended, or the system's name of the error, or else a few words of what caused it.
fn kind(tool: Option<&ToolError>, all: &[&(dyn StdError + 'static)]) -> String {
    let name = |command: &str| {
        let program = command.split(' ').next().unwrap_or_default();
        words_of(program.rsplit('/').next().unwrap_or_default().trim_matches('\''))
    };
    match tool {
        Some(ToolError::Missing { program, .. }) => return format!("{program} missing"),
        Some(ToolError::Failed { command, status, .. }) => {
            let how = status.code().map(|code| format!("exit {code}"));
            let how = how.or_else(|| status.signal().map(|number| format!("signal {number}"))).unwrap_or_default();
            return format!("{} {how}", name(command));
        }
        Some(ToolError::Io { command, .. }) => return format!("{} not run", name(command)),
        _ => {}
    }
    let number = all.iter().find_map(|one| one.downcast_ref::<std::io::Error>()?.raw_os_error());
    if let Some(number) = number {
        return format!("{:?}", Errno::from_raw(number));
    }
    let refused = if all.iter().any(|one| one.is::<Refusal>()) { "refused: " } else { "" };
    // The cause of one with something left is what is left.
    let broken = all.iter().find_map(|one| one.downcast_ref::<Broken>());
    let innermost = broken.map(|one| one.why().root_cause().to_string());
    let innermost = innermost.or_else(|| all.last().map(ToString::to_string)).unwrap_or_default();
    format!("{refused}{}", words_of(&innermost))
}

/// The first words, without what is another one's on each computer: paths, numbers, names.
fn words_of(text: &str) -> String {
    let plain = |word: &&str| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c == '-');
    let words = text.split_whitespace().map(|word| word.trim_matches(|c: char| ",.:;()".contains(c)));
    words.filter(plain).take(WORDS).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use anyhow::Context;
    use cairn_process::Tool;

    use super::*;

    fn failed(script: &str) -> anyhow::Error {
        let tool = Tool::new("sh", "dash", "test").args(["-c", script]).run();
        tool.context("making root as large as its partition").unwrap_err()
    }

    #[test]
    fn a_program_that_failed_is_named_with_what_it_said() {
        let failure =
            Failure::of(&failed("echo 'No space left on device' >&2; exit 3"), "making it", "vda is so", "uefi");
        assert_eq!(failure.kind, "sh exit 3");
        assert!(failure.ran.as_deref().unwrap().starts_with("sh -c 'echo"), "{failure:?}");
        assert!(failure.said.starts_with("making root as large") && failure.said.ends_with("left on device"));
        assert!(failure.cause.contains("full") && failure.left == "vda is so", "{failure:?}");
        assert_eq!(Failure::of(&failed("kill -9 $$"), "", "", "").kind, "sh signal 9");
        let missing = Tool::new("no-such-program", "some-package", "test").run().unwrap_err().into();
        let missing = Failure::of(&missing, "", "", "");
        assert_eq!(
            (missing.kind.as_str(), missing.ran.as_deref()),
            ("no-such-program missing", Some("no-such-program"))
        );
        assert!(missing.cause.contains("missing"), "{missing:?}");
    }

    #[test]
    fn other_failures_are_told_by_the_systems_name_or_by_their_words() {
        let io = anyhow::Error::from(std::io::Error::from_raw_os_error(5)).context("writing to /dev/sda");
        let io = Failure::of(&io, "x", "", "");
        assert_eq!((io.kind.as_str(), io.ran.as_deref()), ("EIO", None));
        assert!(io.said.starts_with("writing to /dev/sda: Input/output error") && io.cause.contains("worn"), "{io:?}");
        let other = anyhow::anyhow!("vda1 should hold ext4 8a1e, and blkid finds nothing");
        assert_eq!(Failure::of(&other, "x", "", "").kind, "should hold and blkid finds nothing");
        let refused = anyhow::Error::from(Refusal("sda is in use".into()));
        assert_eq!(Failure::of(&refused, "x", "", "").kind, "refused: sda is in use");
        assert_eq!(Failure::of(&anyhow::anyhow!("quite new"), "x", "", "").cause, UNKNOWN.0);
        let io = anyhow::Error::from(std::io::Error::from_raw_os_error(5)).context("reading a file");
        let gone = Failure::of(&io.context("the installation medium, /dev/sdb, is gone"), "x", "", "");
        assert!(gone.said.ends_with("is gone: reading a file: Input/output error (os error 5)"), "{gone:?}");
        assert!(gone.cause.contains("pulled out") && gone.kind == "EIO", "{gone:?}");
    }

    #[test]
    fn two_same_failures_have_the_same_code_and_others_another() {
        let of = |text: &str, step: &str, computer: &str| {
            Failure::of(&anyhow::Error::msg(text.to_string()), step, "", computer).code()
        };
        let code = of("/dev/sda1 is odd", "looking at /dev/sda", "uefi nvme 512");
        assert_eq!(code, of("/dev/nvme0n1p1 is odd", "looking at /dev/nvme0n1", "uefi nvme 512"));
        assert_eq!(code.len(), 9);
        assert!(code.bytes().all(|b| b == b'-' || LETTERS.contains(&b)), "{code}");
        for other in [
            of("/dev/sda1 is even", "looking at /dev/sda", "uefi nvme 512"),
            of("/dev/sda1 is odd", "listening to /dev/sda", "uefi nvme 512"),
            of("/dev/sda1 is odd", "looking at /dev/sda", "bios sata 512"),
        ] {
            assert_ne!(code, other);
        }
    }
}
