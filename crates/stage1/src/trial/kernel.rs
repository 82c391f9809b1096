//! The kernel's settings that make a hang or a limp a panic, and a panic a restart.
//!
//! They are for the trial only: a good generation in the middle of its work is not restarted because a network share
//! kept a process waiting for two minutes.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// Each setting below /proc/sys/kernel with its value during the trial. One that is not 0 is somebody's own choice and
/// stays; one that the kernel does not have is passed over.
const SETTINGS: [(&str, &str); 6] = [
    // Seconds after a panic.
    ("panic", "10"),
    ("panic_on_oops", "1"),
    ("softlockup_panic", "1"),
    ("hardlockup_panic", "1"),
    ("hung_task_panic", "1"),
    ("hung_task_timeout_secs", "120"),
];

/// Sets them below `folder`, and gives the names of those that were changed, one a line.
pub fn tighten(folder: &Path) -> String {
    let mut changed = String::new();
    for (name, value) in SETTINGS {
        let path = folder.join(name);
        if fs::read_to_string(&path).is_ok_and(|text| text.trim() == "0") && fs::write(&path, value).is_ok() {
            let _ = writeln!(changed, "{name}");
        }
    }
    changed
}

/// Takes back what `tighten` changed, unless somebody else has changed it since.
pub fn relax(folder: &Path, changed: &str) {
    for (name, value) in SETTINGS.iter().filter(|(name, _)| changed.lines().any(|line| line == *name)) {
        let path = folder.join(name);
        if fs::read_to_string(&path).is_ok_and(|text| text.trim() == *value)
            && let Err(e) = fs::write(&path, "0")
        {
            eprintln!("cairn-stage1: setting kernel.{name} back: {e}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_off_is_changed_and_only_what_is_still_ours_is_taken_back() {
        let folder = std::env::temp_dir().join(format!("cairn-stage1-kernel-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let put = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
        let get = |name: &str| fs::read_to_string(folder.join(name)).unwrap().trim().to_string();
        put("panic", "30\n");
        put("panic_on_oops", "0\n");
        put("softlockup_panic", "0\n");
        let changed = tighten(&folder);
        assert_eq!(changed, "panic_on_oops\nsoftlockup_panic\n");
        assert_eq!((get("panic"), get("panic_on_oops")), ("30".into(), "1".into()));
        assert!(!folder.join("hung_task_panic").exists());
        put("softlockup_panic", "2");
        relax(&folder, &changed);
        let left = (get("panic"), get("panic_on_oops"), get("softlockup_panic"));
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(left, ("30".into(), "0".into(), "2".into()));
    }
}
