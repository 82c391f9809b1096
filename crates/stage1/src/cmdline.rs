//! What the kernel's command line tells the helper.

use std::path::{Path, PathBuf};

use crate::error::Error;

/// The parameters that matter here. As for the kernel, the last one of a name wins.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Parameters {
    /// `init=`: the init of the system to boot, `/nix/store/HASH-NAME/init`.
    pub init: Option<String>,
    /// `root=`: the root file system's device.
    pub root: Option<String>,
    /// `cairn.grow`, `cairn.grow=0`: grow the root partition, or nothing at all, whatever the partition table says.
    pub grow: Option<bool>,
    /// `cairn.generation=`: the generation's number.
    pub generation: Option<u64>,
    /// `cairn.trial`: the generation has not booted well yet.
    pub trial: bool,
    /// `cairn.medium=`: the root is on an installation medium, and this is its root hash.
    pub medium: Option<String>,
    /// `cairn.toram`: copy the medium into memory first.
    pub to_ram: bool,
    /// `cairn.check`: read all of the medium first.
    pub check: bool,
    /// `findiso=`, `iso-scan/filename=`: the medium may be a file of this path, on any file system.
    pub file: Option<String>,
    /// The root is a file system that is named by its UUID and mounted read-write, and nothing is said that only the initrd's
    /// systemd knows (`rd.`, `rootflags=`, `fsck.`, …); or it is on a medium, of which that systemd knows nothing.
    pub plain: bool,
}

/// The beginnings of what only the initrd's systemd knows.
const NOT_PLAIN: [&str; 14] = [
    "rd.",
    "root",
    "fsck.",
    "mount.",
    "usr",
    "luks",
    "resume",
    "noresume",
    "iscsi",
    "nfs",
    "systemd.volatile",
    "systemd.verity",
    "systemd.machine_id",
    "systemd.image",
];

impl Parameters {
    /// From the text of /proc/cmdline.
    pub fn parse(line: &str) -> Parameters {
        let mut found = Parameters { plain: !line.contains('"'), ..Parameters::default() };
        let mut writable = false;
        for word in line.split_ascii_whitespace() {
            let (name, value) = word.split_once('=').map_or((word, None), |(n, v)| (n, Some(v.trim_matches('"'))));
            match (name, value) {
                // Everything after `--` is for init itself.
                ("--", None) => break,
                ("init", Some(value)) => found.init = Some(value.into()),
                ("root", Some(value)) => found.root = Some(value.into()),
                ("rw", None) => writable = true,
                ("ro", None) => writable = false,
                ("cairn.grow", value) => found.grow = Some(is_on(value)),
                ("cairn.trial", _) => found.trial = true,
                ("cairn.generation", Some(value)) => found.generation = value.parse().ok(),
                ("cairn.medium", Some(value)) => found.medium = Some(value.into()),
                ("cairn.toram", value) => found.to_ram = is_on(value),
                ("cairn.check", value) => found.check = is_on(value),
                ("findiso" | "iso-scan/filename", Some(value)) => found.file = Some(value.into()),
                (name, _) => found.plain &= !NOT_PLAIN.iter().any(|begin| name.starts_with(begin)),
            }
        }
        found.plain &= writable && found.root_uuid().is_some();
        found.plain |= found.medium.is_some();
        found
    }

    /// The store path of the system to boot.
    ///
    /// # Errors
    /// When `init=` is absent or is no `/nix/store/NAME/init`.
    pub fn system(&self) -> Result<PathBuf, Error> {
        let init = self.init.as_deref().ok_or_else(|| {
            Error::new("the kernel's command line has no init=; it must name a system: init=/nix/store/…/init")
        })?;
        let system = init.strip_prefix("/nix/store/").and_then(|rest| rest.strip_suffix("/init"));
        match system {
            Some(name) if !name.is_empty() && !name.contains('/') && !name.starts_with('.') => {
                Ok(Path::new("/nix/store").join(name))
            }
            _ => Err(Error::new(format!("init={init} names no system; it must be init=/nix/store/…/init"))),
        }
    }

    /// The UUID of the root's file system, if it is named by one, as udev and blkid write those of Linux's own file systems.
    pub fn root_uuid(&self) -> Option<&str> {
        let uuid = self.root.as_deref()?.strip_prefix("UUID=")?;
        let right = |(at, c): (usize, char)| match at {
            8 | 13 | 18 | 23 => c == '-',
            _ => c.is_ascii_digit() || ('a'..='f').contains(&c),
        };
        (uuid.len() == 36 && uuid.char_indices().all(right)).then_some(uuid)
    }

    /// The node of the root file system's device, as `root=` names it; `None` for what is no device.
    pub fn root_device(&self) -> Option<PathBuf> {
        let root = self.root.as_deref()?;
        let by = |kind: &str, value: &str| Some(Path::new("/dev/disk").join(kind).join(value));
        match root.split_once('=') {
            // udev names its links in lower case.
            Some(("UUID", value)) => by("by-uuid", value),
            Some(("PARTUUID", value)) => by("by-partuuid", &value.to_lowercase()),
            Some(("LABEL", value)) => by("by-label", value),
            Some(("PARTLABEL", value)) => by("by-partlabel", value),
            _ => root.starts_with("/dev/").then(|| PathBuf::from(root)),
        }
    }
}

/// Whether a word is wanted that can be said alone.
fn is_on(value: Option<&str>) -> bool {
    !matches!(value, Some("0" | "no" | "false" | "off"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_medium_is_a_plain_root_whatever_else_is_said() {
        let p = Parameters::parse(
            "BOOT_IMAGE=/linux cairn.medium=00ff findiso=/a.iso cairn.toram rd.debug cairn.check=1 root=/dev/ram x=\"a b\"",
        );
        assert_eq!((p.medium.as_deref(), p.file.as_deref()), (Some("00ff"), Some("/a.iso")));
        assert!(p.plain && p.to_ram && p.check);
        let p = Parameters::parse("cairn.medium=a cairn.check=0 cairn.toram=no iso-scan/filename=/isos/b.iso");
        assert_eq!((p.to_ram, p.check, p.file.as_deref()), (false, false, Some("/isos/b.iso")));
        let p = Parameters::parse("cairn.toram cairn.check findiso=/a.iso");
        assert!(!p.plain && p.medium.is_none());
    }

    #[test]
    fn the_last_of_a_name_wins_and_words_for_init_are_left_alone() {
        let p = Parameters::parse("quiet root=UUID=abc init=/a init=/nix/store/x-y/init cairn.grow rw -- init=/no\n");
        assert_eq!(p.init.as_deref(), Some("/nix/store/x-y/init"));
        assert_eq!(p.grow, Some(true));
        assert_eq!(p.root_device(), Some("/dev/disk/by-uuid/abc".into()));
        assert_eq!(p.system().unwrap(), PathBuf::from("/nix/store/x-y"));
        let trial = Parameters::parse("cairn.generation=7 cairn.trial");
        assert_eq!((trial.generation, trial.trial, p.trial), (Some(7), true, false));
        assert_eq!(Parameters::parse("cairn.grow=0").grow, Some(false));
        assert_eq!(Parameters::parse("quiet").grow, None);
    }

    #[test]
    fn only_a_root_that_needs_no_more_than_to_be_mounted_is_plain() {
        let root = "root=UUID=f650f992-ff11-5947-9cfb-0cde8ce86d33";
        let plain = |line: &str| Parameters::parse(line).plain;
        assert!(plain(&format!(
            "{root} rw quiet systemd.show_status=yes gpt panic=10 cairn.trial init=/nix/store/a/init"
        )));
        assert!(plain(&format!("ro {root} rw systemd.unit=rescue.target -- rd.break")));
        for line in ["", "rw", "root=/dev/vda2 rw", "root=UUID=ABC rw", "root=LABEL=x rw", &root.to_uppercase(), root] {
            assert!(!plain(line), "{line}");
        }
        for word in
            ["ro", "rd.break", "rootflags=noatime", "rootwait", "fsck.mode=force", "rd.luks.uuid=1", "x=\"a b\""]
        {
            assert!(!plain(&format!("{root} rw {word}")), "{word}");
        }
    }

    #[test]
    fn what_is_no_system_is_refused() {
        for line in ["", "init=/bin/sh", "init=/nix/store/init", "init=/nix/store/../init", "init=/nix/store/a/b/init"]
        {
            assert!(Parameters::parse(line).system().is_err(), "{line}");
        }
    }

    #[test]
    fn a_root_that_is_no_device_has_none() {
        assert_eq!(Parameters::parse("root=tmpfs").root_device(), None);
        assert_eq!(
            Parameters::parse("root=PARTUUID=ABCD-01").root_device(),
            Some("/dev/disk/by-partuuid/abcd-01".into())
        );
        assert_eq!(Parameters::parse("root=/dev/vda2").root_device(), Some("/dev/vda2".into()));
    }
}
