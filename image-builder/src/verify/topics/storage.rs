//! Disks: what is mounted where, that the store cannot be written, that the root has grown to the disk's end.

use std::collections::BTreeMap;

use crate::verify::answer::Answer;
use crate::verify::check::Check;
use crate::verify::expected::Expected;
use crate::verify::script::quote;

pub(super) fn ask(expected: &Expected) -> Option<String> {
    // Looking into a folder mounts what is mounted on demand.
    let look: String =
        expected.mounts.keys().map(|at| format!("ls -d {} >/dev/null; ", quote(&format!("{at}/.")))).collect();
    Some(format!(
        "{look}echo '== mounts'; cat /proc/self/mounts\n\
         echo '== swaps'; tail -n +2 /proc/swaps\n\
         while read -r _ _ dev _ at _; do [ \"$at\" = / ] && root=$dev; done </proc/self/mountinfo\n\
         p=$(readlink -f \"/sys/dev/block/$root\")\n\
         echo '== start'; cat \"$p/start\"\n\
         echo '== size'; cat \"$p/size\"\n\
         echo '== disk'; cat \"$p/../size\"\n\
         echo '== bytes'; stat -f -c '%b %S' /\n\
         echo '== root disk'; basename \"${{p%/*}}\"\n\
         echo '== disks'; for d in /sys/block/*/device; do basename \"${{d%/device}}\"; done"
    ))
}

pub(super) fn judge(expected: &Expected, answer: &Answer) -> Vec<Check> {
    let parts = answer.parts();
    let mounts = mounts(parts.lines("mounts"));
    let mut checks = Vec::new();
    for (at, kind) in &expected.mounts {
        let found = mounts.get(at.as_str()).map_or("not mounted", |m| m.kind);
        checks.push(Check::equal(format!("file system {at}"), kind, found));
    }
    // A system out of the store: nothing may change it.
    if let Some(store) = mounts.get("/nix/store") {
        checks.push(Check::equal("/nix/store is read-only", "ro", store.writable()));
        let usr = mounts.get("/usr").map_or("not mounted", Mount::writable);
        checks.push(Check::equal("/usr is read-only", "ro", usr));
    } else if expected.system.is_some() {
        checks.push(Check::equal("/nix/store is read-only", "ro", "not mounted"));
    }
    if expected.swaps > 0 {
        let found = parts.lines("swaps").iter().filter(|l| !l.trim().is_empty()).count();
        checks.push(Check::equal("swap areas", expected.swaps.to_string(), found.to_string()));
    }
    if expected.root_grows {
        checks.push(grown(&parts));
    }
    checks
}

/// That the second boot had another disk beside that of the root, which was found all the same, whatever its name is now.
pub(super) fn judge_order(first: &Answer, second: &Answer) -> Check {
    let (first, second) = (first.parts(), second.parts());
    let (before, after) = (first.line("root disk"), second.line("root disk"));
    let others = |lines: &[&str], root: &str| {
        let mut others: Vec<String> = lines.iter().map(|line| line.trim().to_string()).collect();
        others.retain(|name| !name.is_empty() && name != root);
        others
    };
    let (old, new) = (others(first.lines("disks"), before), others(second.lines("disks"), after));
    let found = format!("the root was on {before}, and is on {after} beside {}", new.join(", "));
    let ok = !before.is_empty() && !after.is_empty() && new.len() == old.len() + 1;
    Check::new("second boot: another order of the disks", ok, "the same root beside another disk", found)
}

/// The root partition ends at the disk's end (an aligned MiB and the second partition table aside), and the file
/// system fills it (but for its own tables and journal).
fn grown(parts: &crate::verify::answer::Parts<'_>) -> Check {
    let sectors = |name: &str| parts.line(name).parse::<u64>().unwrap_or(0) * 512;
    let (start, size, disk) = (sectors("start"), sectors("size"), sectors("disk"));
    let bytes = parts
        .line("bytes")
        .split_once(' ')
        .and_then(|(n, size)| Some(n.parse::<u64>().ok()? * size.parse::<u64>().ok()?));
    let bytes = bytes.unwrap_or(0);
    let mib = |n: u64| n >> 20;
    let to_the_end = size > 0 && disk.saturating_sub(start + size) <= 2 << 20;
    let filled = bytes >= size / 100 * 85;
    Check::new(
        "root fills the disk",
        to_the_end && filled,
        format!("a partition up to {} MiB, filled by its file system", mib(disk)),
        format!(
            "a partition up to {} MiB, {} MiB large, with a file system of {} MiB",
            mib(start + size),
            mib(size),
            mib(bytes)
        ),
    )
}

struct Mount<'a> {
    kind: &'a str,
    options: &'a str,
}

impl Mount<'_> {
    fn writable(&self) -> &'static str {
        if self.options.split(',').any(|o| o == "ro") { "ro" } else { "rw" }
    }
}

/// /proc/self/mounts by mount point; a later mount hides an earlier one.
fn mounts<'a>(lines: &[&'a str]) -> BTreeMap<&'a str, Mount<'a>> {
    let mount = |line: &&'a str| {
        let mut words = line.split(' ');
        let (_, at) = (words.next()?, words.next()?);
        Some((at, Mount { kind: words.next()?, options: words.next()? }))
    };
    lines.iter().filter_map(mount).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUT: &str = "== mounts\n/dev/vda2 / ext4 rw,relatime 0 0\nsystemd-1 /boot autofs rw 0 0\n/dev/vda1 /boot vfat rw 0 0\n\
        overlay /usr overlay ro,nodev 0 0\n/dev/vda2 /nix/store ext4 ro 0 0\n== swaps\n/dev/vda3 partition 1 0 -2\n\
        == start\n264192\n== size\n3930112\n== disk\n4194304\n== bytes\n482000 4096\n";

    fn failing(out: &str) -> Vec<String> {
        let expected = Expected {
            mounts: [("/".into(), "ext4".into()), ("/boot".into(), "vfat".into())].into(),
            swaps: 1,
            root_grows: true,
            ..Expected::default()
        };
        let checks = judge(&expected, &Answer { out: out.into(), ..Answer::default() });
        checks.into_iter().filter(|c| !c.ok).map(|c| c.name).collect()
    }

    #[test]
    fn what_is_mounted_last_counts() {
        assert!(failing(OUT).is_empty());
        assert_eq!(failing(&OUT.replace("/dev/vda1 /boot", "/dev/vda1 /efi")), ["file system /boot"]);
    }

    #[test]
    fn another_order_of_the_disks_needs_another_disk() {
        let of = |root: &str, disks: &str| Answer {
            out: format!("{OUT}\n== root disk\n{root}\n== disks\n{disks}\n"),
            ..Answer::default()
        };
        let ok = |root: &str, disks: &str| judge_order(&of("vda", "vda\nsr0"), &of(root, disks)).ok;
        assert!(ok("vdb", "vda\nvdb\nsr0") && ok("vda", "vda\nvdb\nsr0"));
        assert!(!ok("vda", "vda\nsr0") && !ok("", "vda\nvdb\nsr0"));
    }

    #[test]
    fn a_writable_store_is_seen() {
        assert_eq!(failing(&OUT.replace("/nix/store ext4 ro", "/nix/store ext4 rw")), ["/nix/store is read-only"]);
        assert_eq!(failing(&OUT.replace("overlay ro,", "overlay rw,")), ["/usr is read-only"]);
    }

    #[test]
    fn a_root_that_did_not_grow_is_seen() {
        assert_eq!(failing(&OUT.replace("disk\n4194304", "disk\n8194304")), ["root fills the disk"]);
        assert_eq!(failing(&OUT.replace("482000 4096", "100000 4096")), ["root fills the disk"]);
        assert_eq!(failing(&OUT.replace("== size\n3930112", "== size")), ["root fills the disk"]);
    }
}
