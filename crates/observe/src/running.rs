//! Which generation runs: by the kernel's command line, else by the link that the boot leaves.

use crate::view::{Files, ViewError};

/// A longer command line no kernel takes.
const MOST_LINE: u64 = 64 << 10;

/// Something that could run: a generation, or one of its variants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bootable<'a> {
    /// The generation's number.
    pub number: u64,
    /// The variant's name; nothing for the generation itself.
    pub variant: Option<&'a str>,
    /// What `init=` is on its command line.
    pub init: &'a str,
}

/// Which of these runs, in the root of these files.
///
/// # Errors
/// What reading meets.
pub fn running<'a>(
    files: &dyn Files,
    all: impl Iterator<Item = Bootable<'a>>,
) -> Result<Option<Bootable<'a>>, ViewError> {
    let line = files.read("/proc/cmdline", MOST_LINE)?.unwrap_or_default();
    let line = String::from_utf8_lossy(&line);
    // The line may be another machine's, of one that has mounted its own /proc here: its system tells.
    let left = match last(&line, "init=") {
        Some(_) => None,
        None => files.link("/run/booted-system")?.map(|system| format!("{system}/init")),
    };
    Ok(by_line(&line, left.as_deref(), all))
}

/// The boot entry put a generation's number on the kernel's command line. A number alone is not believed, for it may have been
/// typed in the boot menu. `init`: what counts where the line names none.
fn by_line<'a>(line: &str, init: Option<&str>, all: impl Iterator<Item = Bootable<'a>>) -> Option<Bootable<'a>> {
    let init = last(line, "init=").or(init)?;
    let number = last(line, "cairn.generation=").and_then(|n| n.parse::<u64>().ok());
    let mut same: Vec<Bootable<'_>> = all.filter(|one| one.init == init).collect();
    // A generation before variants, however many systems are one of the other's.
    same.sort_by_key(|one| (one.variant.is_none(), Some(one.number) == number, one.number));
    same.pop()
}

/// Of several words the kernel takes the last.
fn last<'l>(line: &'l str, name: &str) -> Option<&'l str> {
    line.split_ascii_whitespace().filter_map(|word| word.strip_prefix(name)).next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_running_generation_is_told_by_number_and_system() {
        let one = |number, variant, init| Bootable { number, variant, init };
        let all = [
            one(1, None, "/a/init"),
            one(2, None, "/b/init"),
            one(2, Some("text"), "/t/init"),
            one(3, None, "/a/init"),
            one(3, Some("other"), "/b/init"),
        ];
        let found = |line: &str, left: Option<&str>| {
            by_line(line, left, all.iter().copied()).map(|one| (one.number, one.variant))
        };
        assert_eq!(found("init=/a/init quiet cairn.generation=1", None), Some((1, None)));
        assert_eq!(found("init=/a/init", None), Some((3, None)));
        assert_eq!(found("init=/x init=/b/init cairn.generation=1 cairn.trial\n", None), Some((2, None)));
        assert_eq!(found("init=/t/init cairn.generation=2", None), Some((2, Some("text"))));
        assert_eq!(found("init=/c/init cairn.generation=1", None), None);
        assert_eq!(found("quiet", None), None);
        assert_eq!(found("quiet", Some("/b/init")), Some((2, None)));
        assert_eq!(found("init=/c/init", Some("/b/init")), None);
    }
}
