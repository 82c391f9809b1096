//! A recorder of a disk's writes inside of user-mode Linux: the kernel's own dm-log-writes, put below everything in the initrd,
//! before anybody looks for a root.
//!
//! The kernel keeps no partitions of a device of the device mapper, and machines find theirs by the table. So a loop device lies
//! over it, which passes each request on as it comes; that one has the partitions, and those of the disk itself are taken away.
//!
//! The programs are the host's, each with its libraries and their loader: the initrd has none of them, and the base need not. They
//! go with the machine into `/run`, for marks.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::Cmd;
use crate::command::find;

/// What it needs of the kernel, besides what all machines do.
pub const MODULES: [&str; 3] = ["dm-mod", "dm-log-writes", "loop"];
/// The programs, which are in packages that `scripts/setup` names.
const PROGRAMS: [&str; 4] = ["cp", "dmsetup", "losetup", "partx"];
/// Of more than this one udev would have to hear.
pub const ONE_LOOP: &str = "loop.max_loop=1";
/// With a word behind it: makes that the name of a place in the log. It comes after all that was flushed.
pub const MARK: &str = "sh /run/recorder/mark";
/// As large as a log may become; it takes the room of what is in it.
pub const ROOM: u64 = 4 << 30;

/// The initrd does this once the modules are there. The disk is the first one, and its log the second. It waits for no word of
/// udev's, which comes later.
pub const BEGIN: &str = "sh -e /recorder/begin";
const SCRIPTS: [(&str, &str); 3] = [
    ("with", "with() { program=$1; shift; $here/loader --library-path $here $here/$program \"$@\"; }\n"),
    (
        "begin",
        "here=/recorder; . $here/with; with cp -r /recorder /run\n\
         with partx --delete /dev/ubda\n\
         read -r sectors </sys/block/ubda/size\n\
         with dmsetup create --noudevsync recorded --table \"0 $sectors log-writes /dev/ubda /dev/ubdb\"\n\
         with losetup --partscan --direct-io=on /dev/loop0 /dev/dm-0\n",
    ),
    ("mark", "here=/run/recorder; . $here/with; with dmsetup message recorded 0 mark \"$1\"\n"),
];

/// Puts it into an initrd's tree.
pub fn put(tree: &Path) -> Result<()> {
    let folder = tree.join("recorder");
    std::fs::create_dir_all(&folder)?;
    for (name, script) in SCRIPTS {
        std::fs::write(folder.join(name), script)?;
    }
    let mut libraries = BTreeSet::new();
    for name in PROGRAMS {
        let program = find(name).with_context(|| format!("no {name}"))?;
        std::fs::copy(&program, folder.join(name)).with_context(|| format!("copying {name}"))?;
        let needs = Cmd::new("ldd").arg(&program).ok()?;
        libraries.extend(needs.lines().filter_map(library).map(PathBuf::from));
    }
    for library in libraries {
        let name = library.file_name().context("a library without a name")?;
        let to = if name.to_string_lossy().starts_with("ld-") { "loader".as_ref() } else { name };
        std::fs::copy(&library, folder.join(to)).with_context(|| format!("copying {}", library.display()))?;
    }
    Ok(())
}

/// The file that a line of ldd's names. What the kernel gives has none.
fn library(line: &str) -> Option<&str> {
    line.split_whitespace().find(|word| word.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_read_from_what_ldd_says() {
        assert_eq!(library("\tlinux-vdso.so.1 (0x00007f8d77c07000)"), None);
        assert_eq!(library("\tlibc.so.6 => /lib/libc.so.6 (0x00007f8d7797a000)"), Some("/lib/libc.so.6"));
        assert_eq!(library("\t/lib64/ld-linux-x86-64.so.2 (0x00007f8d77c09000)"), Some("/lib64/ld-linux-x86-64.so.2"));
    }
}
