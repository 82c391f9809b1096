//! The medium of which the running system consists, and from which an installation reads.

use std::fs::{self, File};
use std::path::Path;

/// What the initrd has written down of it.
const WHERE: &str = "/run/cairn/medium/where";

/// Whether this system runs from one.
pub fn is_there() -> bool {
    Path::new(WHERE).exists()
}

/// What there is to say where it has gone: an error in reading is its, then, and not the disk's.
pub fn gone() -> Option<String> {
    said(&fs::read_to_string(WHERE).ok()?, |device| File::open(device).is_ok())
}

/// `opens`: whether there is something in this device. A drive whose disc was taken out is there, and cannot be opened.
fn said(text: &str, opens: impl Fn(&Path) -> bool) -> Option<String> {
    let of = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
    let device = of("device")?;
    let needed = of("ram") != Some("yes") && !opens(Path::new(device));
    needed.then(|| {
        format!("the installation medium, {device}, is gone. Was it pulled out? Start the computer from it once more")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_missed_only_where_it_is_needed() {
        let text = "device /dev/sdb\nspare 1 2\nroot-hash 00\nram no\n";
        assert!(said(text, |_| false).is_some_and(|words| words.contains("/dev/sdb")));
        assert_eq!(said(text, |_| true), None);
        assert_eq!(said(&text.replace("ram no", "ram yes"), |_| false), None);
        assert_eq!(said("", |_| false), None);
    }
}
