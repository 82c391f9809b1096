//! Which of a mount's options somebody has asked for. The kernel shows its own defaults beside them, and a file that has these would
//! hold on to them for ever.

use cairn_root::Mount;

/// Of every mount.
const OF_ALL: [&str; 9] =
    ["noatime", "nodiratime", "lazytime", "nosuid", "nodev", "noexec", "ro", "sync", "nosymfollow"];

/// Of the file systems of a kind: words, and beginnings with `=`.
const OF_KIND: [(&str, &[&str]); 9] = [
    (
        "btrfs",
        &[
            "compress=",
            "compress-force=",
            "autodefrag",
            "nodatacow",
            "nodatasum",
            "degraded",
            "discard=sync",
            "commit=",
        ],
    ),
    ("ext4", &["discard", "data=", "commit=", "nobarrier", "errors=", "usrquota", "grpquota", "prjquota"]),
    ("ext3", &["discard", "data=", "commit=", "errors="]),
    ("xfs", &["discard", "usrquota", "grpquota", "prjquota", "largeio", "wsync"]),
    ("vfat", &["fmask=", "dmask=", "umask=", "uid=", "gid="]),
    ("exfat", &["fmask=", "dmask=", "uid=", "gid="]),
    ("ntfs3", &["fmask=", "dmask=", "umask=", "uid=", "gid=", "windows_names"]),
    ("f2fs", &["compress_algorithm=", "compress_chksum", "atgc", "gc_merge", "nodiscard"]),
    ("tmpfs", &["size=", "mode=", "nr_inodes=", "uid=", "gid="]),
];

/// Those to keep, in the kernel's order, each once.
pub fn kept(mount: &Mount) -> Vec<String> {
    let of_kind = OF_KIND.iter().find(|(kind, _)| *kind == mount.kind).map_or(&[][..], |(_, words)| words);
    let wanted = |option: &str| {
        OF_ALL.contains(&option)
            || of_kind.iter().any(|word| if word.ends_with('=') { option.starts_with(word) } else { option == *word })
    };
    let mut kept: Vec<String> = Vec::new();
    for option in mount.options.split(',').chain(mount.super_options.split(',')) {
        if wanted(option) && !kept.iter().any(|other| other == option) {
            kept.push(option.to_string());
        }
    }
    kept
}

/// The subvolume of a btrfs that is mounted, without the `/` in front.
pub fn subvolume(mount: &Mount) -> Option<&str> {
    let said = mount.super_options.split(',').find_map(|option| option.strip_prefix("subvol="))?;
    Some(said.trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(line: &str) -> Mount {
        Mount::parse(line.as_bytes()).unwrap()
    }

    #[test]
    fn defaults_are_left_out_and_wishes_are_kept() {
        let of = |line| kept(&mount(line)).join(",");
        let btrfs =
            "1 0 0:3 /@ / rw,noatime - btrfs /dev/sda2 rw,compress=zstd:3,ssd,space_cache=v2,subvolid=256,subvol=/@";
        assert_eq!(of(btrfs), "noatime,compress=zstd:3");
        assert_eq!(subvolume(&mount(btrfs)), Some("@"));
        let fat = "1 0 8:1 / /boot rw,relatime - vfat /dev/sda1 rw,fmask=0077,dmask=0077,codepage=437,iocharset=ascii,\
                   shortname=mixed,errors=remount-ro";
        assert_eq!(of(fat), "fmask=0077,dmask=0077");
        assert_eq!(of("1 0 8:2 / / rw,relatime - ext4 /dev/sda2 rw"), "");
        assert_eq!(of("1 0 8:2 / /x ro,nosuid,nodev - ext4 /dev/sda2 ro,discard"), "ro,nosuid,nodev,discard");
        assert_eq!(of("1 0 8:2 / / rw - xfs /dev/sda2 rw,attr2,inode64,logbufs=8,noquota"), "");
        assert_eq!(of("1 0 0:5 / / rw - tmpfs none rw,size=2097152k,mode=755,inode64"), "size=2097152k,mode=755");
    }
}
