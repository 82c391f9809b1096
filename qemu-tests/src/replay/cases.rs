//! The cases: the sequences that tools use and that break, and the sequences for a boot update.

use super::primitive::{Case, Seen};

type Rule = fn(&Seen) -> Result<(), String>;

const E: &str = "loader/entries/new-entry-2.conf";
const CONF: &str = "loader/loader.conf";

/// A new name: absent or whole, and whole in the end.
const NEW: Rule = |s| s.holds(E, &["absent", "new"], &["new"]);
/// A new name that may also be empty for a moment: what no loader takes for an entry.
const NEW_OR_EMPTY: Rule = |s| s.holds(E, &["absent", "empty", "new"], &["new"]);
/// An existing name that gets new contents.
const REPLACED: Rule = |s| s.holds(CONF, &["old", "new"], &["new"]);
const REPLACED_OR_ABSENT: Rule = |s| s.holds(CONF, &["old", "absent", "empty", "new"], &["new"]);

const OLD_CONF: &str = "create o loader/loader.conf @10:700\nfsync o\nclose o";

/// What tools do and what breaks.
pub const BROKEN: &[Case] = &[
    Case {
        name: "rename-new",
        about: "write, fsync, rename to a new name, fsync(dir)",
        setup: "",
        steps: "create f loader/entries/new.tmp @11:900\nfsync f\nrename loader/entries/new.tmp loader/entries/new-entry-2.conf\nfsyncdir loader/entries",
        rule: NEW_OR_EMPTY,
    },
    Case {
        name: "rename-over",
        about: "rename over an existing file, fsync(dir)",
        setup: OLD_CONF,
        steps: "create f loader/loader.conf.tmp @11:900\nfsync f\nrename loader/loader.conf.tmp loader/loader.conf\nfsyncdir loader",
        rule: REPLACED,
    },
    Case {
        name: "rename-syncfs",
        about: "rename over an existing file, syncfs",
        setup: OLD_CONF,
        steps: "create f loader/loader.conf.tmp @11:900\nfsync f\nrename loader/loader.conf.tmp loader/loader.conf\nsyncfs",
        rule: REPLACED,
    },
    Case {
        name: "exchange-bootc",
        about: "RENAME_EXCHANGE, remove the old one, fsync(parent)",
        setup: "mkdir EFI\nmkdir EFI/a\ncreate o EFI/a/boot.efi @14:90000\nfsync o\nclose o",
        steps: "mkdir EFI/b\ncreate f EFI/b/boot.efi @15:100000\nfsync f\nclose f\nexchange EFI/a EFI/b\nunlink EFI/b/boot.efi\nrmdir EFI/b\nfsyncdir EFI",
        rule: |s| s.holds("EFI/a/boot.efi", &["old-big", "new-big"], &["new-big"]),
    },
    Case {
        name: "exchange-bootupd",
        about: "copy without fsync, RENAME_EXCHANGE, syncfs, remove",
        setup: "mkdir EFI\nmkdir EFI/a\ncreate o EFI/a/boot.efi @14:90000\nfsync o\nclose o",
        steps: "mkdir EFI/b\ncreate f EFI/b/boot.efi @15:100000\nclose f\nexchange EFI/a EFI/b\nsyncfs\nunlink EFI/b/boot.efi\nrmdir EFI/b\nfsyncdir EFI",
        rule: |s| s.holds("EFI/a/boot.efi", &["old-big", "new-big"], &["new-big"]),
    },
    Case {
        name: "bootctl-link",
        about: "temporaries, syncfs, rename, syncfs",
        setup: OLD_CONF,
        steps: "create f loader/loader.conf.tmp @11:900\nsyncfs\nrename loader/loader.conf.tmp loader/loader.conf\nsyncfs",
        rule: REPLACED,
    },
    Case {
        name: "bless-boot",
        about: "rename of a counted entry, fsync(dir), syncfs",
        setup: "create o loader/entries/new-entry-2+2-1.conf @10:700\nfsync o\nclose o",
        steps: "rename loader/entries/new-entry-2+2-1.conf loader/entries/new-entry-2.conf\nfsyncdir loader/entries\nsyncfs",
        rule: one_of_both,
    },
    Case {
        name: "copy",
        about: "copy to a new name without fsync",
        setup: "",
        steps: "create f loader/entries/new-entry-2.conf @11:900\nclose f",
        rule: NEW_OR_EMPTY,
    },
];

fn one_of_both(s: &Seen) -> Result<(), String> {
    match (s.at("loader/entries/new-entry-2+2-1.conf"), s.at(E)) {
        ("old", _) | (_, "old") => Ok(()),
        (counted, plain) => Err(format!("the counted entry is {counted} and the plain one {plain}")),
    }
}

/// What is safe, or could be.
pub const SAFE: &[Case] = &[
    Case {
        name: "a-new",
        about: "a new file: tmp, fsync, rename, fsync, syncfs, fsync(dir)",
        setup: "",
        steps: "create f loader/entries/new.tmp @11:900\nfsync f\nrename loader/entries/new.tmp loader/entries/new-entry-2.conf\nfsync f\nsyncfs\nfsyncdir loader/entries",
        rule: NEW_OR_EMPTY,
    },
    Case {
        name: "a-new-strict",
        about: "the same, an empty file being bad as well",
        setup: "",
        steps: "create f loader/entries/new.tmp @11:900\nfsync f\nrename loader/entries/new.tmp loader/entries/new-entry-2.conf\nfsync f\nsyncfs\nfsyncdir loader/entries",
        rule: NEW,
    },
    Case {
        name: "a-new-short",
        about: "a new file: tmp, fsync, rename, fsync",
        setup: "",
        steps: "create f loader/entries/new.tmp @11:900\nfsync f\nrename loader/entries/new.tmp loader/entries/new-entry-2.conf\nfsync f",
        rule: NEW_OR_EMPTY,
    },
    Case {
        name: "a-direct",
        about: "a new file under its own name at once: write, fsync, syncfs, fsync(dir)",
        setup: "",
        steps: "create f loader/entries/new-entry-2.conf @11:900\nfsync f\nsyncfs\nfsyncdir loader/entries",
        rule: NEW_OR_EMPTY,
    },
    Case {
        name: "a-link-exchange",
        about: "a new file: tmp, fsync, empty file under the name, barrier, exchange, fsync both, barrier, unlink",
        setup: "",
        steps: "create f loader/entries/new.tmp @11:900\nfsync f\ncreate e loader/entries/new-entry-2.conf @9:0\nfsync e\nsyncfs\nfsyncdir loader/entries\nexchange loader/entries/new.tmp loader/entries/new-entry-2.conf\nfsync f\nfsync e\nsyncfs\nfsyncdir loader/entries\nunlink loader/entries/new.tmp\nsyncfs\nfsyncdir loader/entries",
        rule: NEW_OR_EMPTY,
    },
    Case {
        name: "b-over",
        about: "replace: tmp, fsync, barrier, rename over, fsync, syncfs, fsync(dir)",
        setup: OLD_CONF,
        steps: "create f loader/loader.conf.tmp @11:900\nfsync f\nsyncfs\nfsyncdir loader\nrename loader/loader.conf.tmp loader/loader.conf\nfsync f\nsyncfs\nfsyncdir loader",
        rule: REPLACED,
    },
    Case {
        name: "b-exchange",
        about: "replace: tmp, fsync, barrier, exchange, fsync(new), barrier, unlink, barrier",
        setup: OLD_CONF,
        steps: "create f loader/loader.conf.tmp @11:900\nfsync f\nsyncfs\nfsyncdir loader\nexchange loader/loader.conf.tmp loader/loader.conf\nfsync f\nsyncfs\nfsyncdir loader\nunlink loader/loader.conf.tmp\nsyncfs\nfsyncdir loader",
        rule: REPLACED,
    },
    Case {
        name: "b-exchange-both",
        about: "replace: tmp, fsync, barrier, exchange, fsync(new), fsync(old), barrier, unlink, barrier",
        setup: "create o loader/loader.conf @10:700\nfsync o",
        steps: "create f loader/loader.conf.tmp @11:900\nfsync f\nsyncfs\nfsyncdir loader\nexchange loader/loader.conf.tmp loader/loader.conf\nfsync f\nfsync o\nsyncfs\nfsyncdir loader\nunlink loader/loader.conf.tmp\nsyncfs\nfsyncdir loader",
        rule: REPLACED,
    },
    Case {
        name: "b-away-first",
        about: "replace: tmp, fsync, barrier, unlink the old one, barrier, rename, fsync, barrier (absent for a while)",
        setup: OLD_CONF,
        steps: "create f loader/loader.conf.tmp @11:900\nfsync f\nsyncfs\nfsyncdir loader\nunlink loader/loader.conf\nsyncfs\nfsyncdir loader\nrename loader/loader.conf.tmp loader/loader.conf\nfsync f\nsyncfs\nfsyncdir loader",
        rule: REPLACED_OR_ABSENT,
    },
    Case {
        name: "b-in-place-512",
        about: "replace: a file of 512 bytes, pwrite of all of it, fsync",
        setup: "create o loader/loader.conf @12:512\nfsync o\nclose o",
        steps: "open f loader/loader.conf\npwrite f 0 @13:512\nfsync f",
        rule: |s| s.holds(CONF, &["old512", "new512"], &["new512"]),
    },
    Case {
        name: "b-two-names",
        about: "two names: unlink the second, barrier, copy of the first under the second's name, barrier, then away-first of the first",
        setup: "create o loader/loader.conf @10:700\nfsync o\nclose o\ncreate o loader/loader.old @1:600\nfsync o\nclose o",
        steps: "create f loader/loader.conf.tmp @11:900\nfsync f\nsyncfs\nfsyncdir loader\nunlink loader/loader.old\nsyncfs\nfsyncdir loader\ncreate c loader/old.tmp @10:700\nfsync c\nrename loader/old.tmp loader/loader.old\nfsync c\nsyncfs\nfsyncdir loader\nunlink loader/loader.conf\nsyncfs\nfsyncdir loader\nrename loader/loader.conf.tmp loader/loader.conf\nfsync f\nsyncfs\nfsyncdir loader",
        rule: |s| {
            s.holds(CONF, &["old", "absent", "empty", "new"], &["new"])?;
            match (s.at(CONF), s.at("loader/loader.old")) {
                ("old" | "new", _) | (_, "old") => Ok(()),
                (conf, old) => Err(format!("the first is {conf} and the second {old}")),
            }
        },
    },
    Case {
        name: "b-two-renames",
        about: "two names: unlink the second, barrier, rename the first to the second, fsync, barrier, rename tmp to the first, fsync, barrier",
        setup: "create o loader/loader.conf @10:700\nfsync o\ncreate p loader/loader.old @1:600\nfsync p\nclose p",
        steps: "create f loader/loader.conf.tmp @11:900\nfsync f\nsyncfs\nfsyncdir loader\nunlink loader/loader.old\nsyncfs\nfsyncdir loader\nrename loader/loader.conf loader/loader.old\nfsync o\nsyncfs\nfsyncdir loader\nrename loader/loader.conf.tmp loader/loader.conf\nfsync f\nsyncfs\nfsyncdir loader",
        rule: |s| match (s.at(CONF), s.at("loader/loader.old")) {
            ("old" | "new", _) | (_, "old") => Ok(()),
            (conf, old) => Err(format!("the first is {conf} and the second {old}")),
        },
    },
    Case {
        name: "b-exchange-big",
        about: "replace a program of 90 KB: tmp, fsync, barrier, exchange, fsync both, barrier, unlink, barrier",
        setup: "create o loader/loader.conf @14:90000\nfsync o",
        steps: "create f loader/loader.conf.tmp @15:100000\nfsync f\nsyncfs\nfsyncdir loader\nexchange loader/loader.conf.tmp loader/loader.conf\nfsync f\nfsync o\nsyncfs\nfsyncdir loader\nclose o\nunlink loader/loader.conf.tmp\nsyncfs\nfsyncdir loader",
        rule: |s| s.holds(CONF, &["old-big", "new-big"], &["new-big"]),
    },
    Case {
        name: "bless-by-copy",
        about: "blessing: a new plain entry (tmp, fsync, rename, fsync, barrier), then unlink of the counted one, barrier",
        setup: "create o loader/entries/new-entry-2+2-1.conf @10:700\nfsync o\nclose o",
        steps: "create f loader/entries/new.tmp @10:700\nfsync f\nrename loader/entries/new.tmp loader/entries/new-entry-2.conf\nfsync f\nsyncfs\nfsyncdir loader/entries\nunlink loader/entries/new-entry-2+2-1.conf\nsyncfs\nfsyncdir loader/entries",
        rule: one_of_both,
    },
    Case {
        name: "bless-by-rename",
        about: "blessing: rename, fsync(fd) first, then syncfs and fsync(dir)",
        setup: "create o loader/entries/new-entry-2+2-1.conf @10:700\nfsync o",
        steps: "rename loader/entries/new-entry-2+2-1.conf loader/entries/new-entry-2.conf\nfsync o\nsyncfs\nfsyncdir loader/entries",
        rule: one_of_both,
    },
    Case {
        name: "c-grubenv",
        about: "pwrite of 512 bytes in place, fsync",
        setup: "mkdir cairn/m/grub\ncreate o cairn/m/grub/grubenv @12:512\nfsync o\nclose o",
        steps: "open f cairn/m/grub/grubenv\npwrite f 0 @13:512\nfsync f",
        rule: |s| s.holds("cairn/m/grub/grubenv", &["old512", "new512"], &["new512"]),
    },
    Case {
        name: "d-delete",
        about: "deletion: entry, syncfs, fsync(dir), kernel, syncfs, fsync(dir)",
        setup: OLD_ENTRY,
        steps: "unlink loader/entries/old-entry-0.conf\nsyncfs\nfsyncdir loader/entries\nunlink cairn/m/k0-linux\nsyncfs\nfsyncdir cairn/m",
        rule: entry_before_kernel,
    },
    Case {
        name: "d-delete-short",
        about: "deletion: entry, fsync(dir), kernel, fsync(dir)",
        setup: OLD_ENTRY,
        steps: "unlink loader/entries/old-entry-0.conf\nfsyncdir loader/entries\nunlink cairn/m/k0-linux\nfsyncdir cairn/m",
        rule: entry_before_kernel,
    },
    Case {
        name: "d-delete-bare",
        about: "deletion: entry, kernel, syncfs, fsync(dir)",
        setup: OLD_ENTRY,
        steps: "unlink loader/entries/old-entry-0.conf\nunlink cairn/m/k0-linux\nsyncfs\nfsyncdir cairn/m",
        rule: entry_before_kernel,
    },
    Case {
        name: "b-over-held",
        about: "replace: the old file is held open; tmp, fsync, barrier, rename over, fsync, barrier, close, barrier",
        setup: "create o loader/loader.conf @10:700\nfsync o",
        steps: "create f loader/loader.conf.tmp @11:900\nfsync f\nsyncfs\nfsyncdir loader\nrename loader/loader.conf.tmp loader/loader.conf\nfsync f\nsyncfs\nfsyncdir loader\nclose o\nsyncfs\nfsyncdir loader",
        rule: REPLACED,
    },
    Case {
        name: "b-over-held-big",
        about: "the same for a program of 90 KB, with no barrier before the rename",
        setup: "create o loader/loader.conf @14:90000\nfsync o",
        steps: "create f loader/loader.conf.tmp @15:100000\nfsync f\nrename loader/loader.conf.tmp loader/loader.conf\nfsync f\nsyncfs\nfsyncdir loader\nclose o\nsyncfs\nfsyncdir loader",
        rule: |s| s.holds(CONF, &["old-big", "new-big"], &["new-big"]),
    },
    Case {
        name: "b-exchange-held",
        about: "replace: the old file is held open; tmp, fsync, barrier, exchange, fsync both, barrier, unlink, barrier, close, barrier",
        setup: "create o loader/loader.conf @10:700\nfsync o",
        steps: "create f loader/loader.conf.tmp @11:900\nfsync f\nsyncfs\nfsyncdir loader\nexchange loader/loader.conf.tmp loader/loader.conf\nfsync f\nfsync o\nsyncfs\nfsyncdir loader\nunlink loader/loader.conf.tmp\nsyncfs\nfsyncdir loader\nclose o\nsyncfs\nfsyncdir loader",
        rule: REPLACED,
    },
    Case {
        name: "bless-held",
        about: "blessing: a new plain entry (tmp, fsync, rename, fsync, barrier), then the counted one held open, unlinked, barrier, closed, barrier",
        setup: "create o loader/entries/new-entry-2+2-1.conf @10:700\nfsync o",
        steps: "create f loader/entries/new.tmp @10:700\nfsync f\nrename loader/entries/new.tmp loader/entries/new-entry-2.conf\nfsync f\nsyncfs\nfsyncdir loader/entries\nunlink loader/entries/new-entry-2+2-1.conf\nsyncfs\nfsyncdir loader/entries\nclose o\nsyncfs\nfsyncdir loader/entries",
        rule: |s| {
            let counted = s.at("loader/entries/new-entry-2+2-1.conf");
            one_of_both(s)?;
            if ["old", "absent"].contains(&counted) { Ok(()) } else { Err(format!("the counted entry: {counted}")) }
        },
    },
    Case {
        name: "d-delete-held",
        about: "deletion: entry and kernel held open; entry, barrier, close, barrier; kernel, barrier, close, barrier",
        setup: OLD_ENTRY,
        steps: "open e loader/entries/old-entry-0.conf\nunlink loader/entries/old-entry-0.conf\nsyncfs\nfsyncdir loader/entries\nclose e\nsyncfs\nfsyncdir loader/entries\nopen k cairn/m/k0-linux\nunlink cairn/m/k0-linux\nsyncfs\nfsyncdir cairn/m\nclose k\nsyncfs\nfsyncdir cairn/m",
        rule: |s| {
            entry_before_kernel(s)?;
            let kernel = s.at("cairn/m/k0-linux");
            if ["old-big", "absent"].contains(&kernel) { Ok(()) } else { Err(format!("the kernel: {kernel}")) }
        },
    },
    Case {
        name: "d-delete-wiped",
        about: "deletion of an entry: zeros over it, fsync, unlink, barrier",
        setup: OLD_ENTRY,
        steps: "open e loader/entries/old-entry-0.conf\npwrite e 0 @16:700\nfsync e\nclose e\nunlink loader/entries/old-entry-0.conf\nsyncfs\nfsyncdir loader/entries\nunlink cairn/m/k0-linux\nsyncfs\nfsyncdir cairn/m",
        rule: |s| match (s.at("loader/entries/old-entry-0.conf"), s.at("cairn/m/k0-linux")) {
            ("old" | "other" | "wiped", "old-big") | ("absent", _) => Ok(()),
            (entry, kernel) => Err(format!("the entry is {entry} and its kernel {kernel}")),
        },
    },
    Case {
        name: "e-mkdir-dirsync",
        about: "a new folder: mkdir, fsync(new folder), fsync(parent)",
        setup: "",
        steps: "mkdir cairn/n\nfsyncdir cairn/n\nfsyncdir cairn",
        rule: only,
    },
    Case {
        name: "c-grubenv-1024",
        about: "pwrite of 1024 bytes in place, fsync",
        setup: "mkdir cairn/m/grub\ncreate o cairn/m/grub/grubenv @10:700\nfsync o\nclose o",
        steps: "open f cairn/m/grub/grubenv\npwrite f 0 @11:900\nfsync f",
        rule: |s| s.holds("cairn/m/grub/grubenv", &["old", "new"], &["new"]),
    },
    Case {
        name: "far-new-f",
        about: "a new file whose two names lie in two sectors: tmp, fsync, rename, fsync, barrier",
        setup: FAR_NEW,
        steps: "create f loader/entries/a.tmp @11:900\nfsync f\nrename loader/entries/a.tmp loader/entries/new-entry-2.conf\nfsync f\nsyncfs\nfsyncdir loader/entries",
        rule: NEW_OR_EMPTY,
    },
    Case {
        name: "far-new-d",
        about: "the same: tmp, fsync, rename, fsync(dir), fsync, barrier",
        setup: FAR_NEW,
        steps: "create f loader/entries/a.tmp @11:900\nfsync f\nrename loader/entries/a.tmp loader/entries/new-entry-2.conf\nfsyncdir loader/entries\nfsync f\nsyncfs\nfsyncdir loader/entries",
        rule: NEW_OR_EMPTY,
    },
    Case {
        name: "far-over-f",
        about: "replace, the old one held, two sectors: tmp, fsync, rename over, fsync, barrier, close, barrier",
        setup: FAR,
        steps: "create f loader/entries/a.tmp @11:900\nfsync f\nrename loader/entries/a.tmp loader/entries/new-entry-2.conf\nfsync f\nsyncfs\nfsyncdir loader/entries\nclose o\nsyncfs\nfsyncdir loader/entries",
        rule: FAR_REPLACED,
    },
    Case {
        name: "far-over-d",
        about: "the same: tmp, fsync, rename over, fsync(dir), fsync, barrier, close, barrier",
        setup: FAR,
        steps: "create f loader/entries/a.tmp @11:900\nfsync f\nrename loader/entries/a.tmp loader/entries/new-entry-2.conf\nfsyncdir loader/entries\nfsync f\nsyncfs\nfsyncdir loader/entries\nclose o\nsyncfs\nfsyncdir loader/entries",
        rule: FAR_REPLACED,
    },
    Case {
        name: "fat-first-new",
        about: "create tmp, reserve, fsync(dir), write, fsync, rename, fsync(dir), fsync, barrier",
        setup: FAR_NEW,
        steps: "create f loader/entries/a.tmp @9:0\nreserve f 900\nfsyncdir loader/entries\npwrite f 0 @11:900\nfsync f\nrename loader/entries/a.tmp loader/entries/new-entry-2.conf\nfsyncdir loader/entries\nfsync f\nsyncfs\nfsyncdir loader/entries",
        rule: |s| {
            NEW_OR_EMPTY(s)?;
            match s.at("loader/entries/a.tmp") {
                "absent" | "empty" | "other" | "new" => Ok(()),
                flaw => Err(format!("the temporary file: {flaw}")),
            }
        },
    },
    Case {
        name: "fat-first-over",
        about: "create tmp, reserve, fsync(dir), write, fsync, rename, fsync(dir), fsync, barrier, close the old one, barrier",
        setup: FAR,
        steps: "create f loader/entries/a.tmp @9:0\nreserve f 900\nfsyncdir loader/entries\npwrite f 0 @11:900\nfsync f\nrename loader/entries/a.tmp loader/entries/new-entry-2.conf\nfsyncdir loader/entries\nfsync f\nsyncfs\nfsyncdir loader/entries\nclose o\nsyncfs\nfsyncdir loader/entries",
        rule: |s| {
            FAR_REPLACED(s)?;
            match s.at("loader/entries/a.tmp") {
                "absent" | "empty" | "other" | "new" => Ok(()),
                flaw => Err(format!("the temporary file: {flaw}")),
            }
        },
    },
    Case {
        name: "p1-new",
        about: "a new file under its own name: create, reserve, fsync(dir), write, sync_file_range, fsync(dir), fsync, barrier",
        setup: FAR_NEW,
        steps: "create f loader/entries/new-entry-2.conf @9:0\nreserve f 900\nfsyncdir loader/entries\npwrite f 0 @11:900\nwriteout f\nfsyncdir loader/entries\nfsync f\nsyncfs\nfsyncdir loader/entries",
        rule: NEW_OR_EMPTY,
    },
    Case {
        name: "p1-new-big",
        about: "the same, 100 KB",
        setup: FAR_NEW,
        steps: "create f loader/entries/new-entry-2.conf @9:0\nreserve f 100000\nfsyncdir loader/entries\npwrite f 0 @15:100000\nwriteout f\nfsyncdir loader/entries\nfsync f\nsyncfs\nfsyncdir loader/entries",
        rule: |s| s.holds(E, &["absent", "empty", "new-big"], &["new-big"]),
    },
    Case {
        name: "p1-bare",
        about: "the same without the reservation",
        setup: FAR_NEW,
        steps: "create f loader/entries/new-entry-2.conf @11:900\nwriteout f\nfsyncdir loader/entries\nfsync f\nsyncfs\nfsyncdir loader/entries",
        rule: NEW_OR_EMPTY,
    },
    Case {
        name: "e-mkdir",
        about: "a new folder: mkdir, syncfs, fsync(dir), then its first file",
        setup: "",
        steps: "mkdir cairn/n\nfsyncdir cairn/n\nsyncfs\nfsyncdir cairn\ncreate f cairn/n/x.tmp @11:900\nfsync f\nrename cairn/n/x.tmp cairn/n/k2-linux\nfsync f\nsyncfs\nfsyncdir cairn/n",
        rule: new_folder,
    },
    Case {
        name: "e-mkdir-bare",
        about: "a new folder and its first file, one barrier at the end",
        setup: "",
        steps: "mkdir cairn/n\ncreate f cairn/n/x.tmp @11:900\nfsync f\nrename cairn/n/x.tmp cairn/n/k2-linux\nfsync f\nsyncfs\nfsyncdir cairn/n",
        rule: new_folder,
    },
    Case {
        name: "f-grow",
        about: "a new entry in a folder that must grow by a cluster",
        setup: MANY,
        steps: "create f loader/entries/new.tmp @11:900\nfsync f\nrename loader/entries/new.tmp loader/entries/new-entry-2.conf\nfsync f\nsyncfs\nfsyncdir loader/entries\ncreate f loader/entries/new.tmp @11:900\nfsync f\nrename loader/entries/new.tmp loader/entries/the-name-of-an-entry-that-needs-many-slots-3.conf\nfsync f\nsyncfs\nfsyncdir loader/entries\ncreate f loader/entries/new.tmp @11:900\nfsync f\nrename loader/entries/new.tmp loader/entries/the-name-of-an-entry-that-needs-many-slots-4.conf\nfsync f\nsyncfs\nfsyncdir loader/entries",
        rule: |s| {
            NEW_OR_EMPTY(s)?;
            for n in 3..5 {
                let path = format!("loader/entries/the-name-of-an-entry-that-needs-many-slots-{n}.conf");
                s.holds(&path, &["absent", "empty", "new"], &["new"])?;
            }
            only(s)
        },
    },
];

const OLD_ENTRY: &str = "create o loader/entries/old-entry-0.conf @10:700\nfsync o\nclose o\ncreate o cairn/m/k0-linux @14:90000\nfsync o\nclose o";

fn entry_before_kernel(s: &Seen) -> Result<(), String> {
    let (entry, kernel) = (s.at("loader/entries/old-entry-0.conf"), s.at("cairn/m/k0-linux"));
    match (entry, kernel) {
        ("old", "old-big") | ("absent", _) if !s.returned => Ok(()),
        ("absent", "absent") => Ok(()),
        _ => {
            Err(format!("the entry is {entry} and its kernel {kernel}{}", if s.returned { ", after all" } else { "" }))
        }
    }
}

fn new_folder(s: &Seen) -> Result<(), String> {
    s.holds("cairn/n/k2-linux", &["absent", "empty", "new"], &["new"])?;
    only(s)
}

/// Nothing is there that nobody made: no name from an old folder's leavings.
fn only(s: &Seen) -> Result<(), String> {
    let mine = ["loader", "cairn"];
    let stranger = s.files.keys().find(|path| {
        let first = path.split('/').next().unwrap_or_default();
        !mine.contains(&first) || path.contains("STALE")
    });
    stranger.map_or(Ok(()), |path| Err(format!("{path} comes from nowhere")))
}

const MANY: &str = "\
create o loader/entries/the-name-of-an-entry-that-needs-many-slots-10.conf @10:700\nfsync o
create o loader/entries/the-name-of-an-entry-that-needs-many-slots-11.conf @10:700\nfsync o
create o loader/entries/the-name-of-an-entry-that-needs-many-slots-12.conf @10:700\nfsync o
create o loader/entries/the-name-of-an-entry-that-needs-many-slots-13.conf @10:700\nfsync o
create o loader/entries/the-name-of-an-entry-that-needs-many-slots-14.conf @10:700\nfsync o
create o loader/entries/the-name-of-an-entry-that-needs-many-slots-15.conf @10:700\nfsync o
create o loader/entries/the-name-of-an-entry-that-needs-many-slots-16.conf @10:700\nfsync o
create o loader/entries/the-name-of-an-entry-that-needs-many-slots-17.conf @10:700\nfsync o
create o loader/entries/the-name-of-an-entry-that-needs-many-slots-18.conf @10:700\nfsync o
create o loader/entries/the-name-of-an-entry-that-needs-many-slots-19.conf @10:700\nfsync o
create o loader/entries/the-name-of-an-entry-that-needs-many-slots-20.conf @10:700\nfsync o
create o loader/entries/the-name-of-an-entry-that-needs-many-slots-21.conf @10:700\nfsync o
create o loader/entries/the-name-of-an-entry-that-needs-many-slots-22.conf @10:700\nfsync o
create o loader/entries/the-name-of-an-entry-that-needs-many-slots-23.conf @10:700\nfsync o
create o loader/entries/the-name-of-an-entry-that-needs-many-slots-24.conf @10:700\nfsync o
create o loader/entries/the-name-of-an-entry-that-needs-many-slots-25.conf @10:700\nfsync o
create o loader/entries/the-name-of-an-entry-that-needs-many-slots-26.conf @10:700\nfsync o
create o loader/entries/the-name-of-an-entry-that-needs-many-slots-27.conf @10:700\nfsync o
create o loader/entries/the-name-of-an-entry-that-needs-many-slots-28.conf @10:700\nfsync o
create o loader/entries/the-name-of-an-entry-that-needs-many-slots-29.conf @10:700\nfsync o
create o loader/entries/the-name-of-an-entry-that-needs-many-slots-30.conf @10:700\nfsync o
create o loader/entries/the-name-of-an-entry-that-needs-many-slots-31.conf @10:700\nfsync o";

/// A folder in which a short new name gets a slot in the first sector and a long one in another.
const FAR: &str = "\
create o loader/entries/a.tmp @9:0\nfsync o\nclose o
create o loader/entries/the-name-of-an-entry-that-needs-many-slots-10.conf @10:700\nfsync o
create o loader/entries/the-name-of-an-entry-that-needs-many-slots-11.conf @10:700\nfsync o
create o loader/entries/the-name-of-an-entry-that-needs-many-slots-12.conf @10:700\nfsync o
create o loader/entries/new-entry-2.conf @10:700\nfsync o
unlink loader/entries/a.tmp";
const FAR_NEW: &str = "\
create o loader/entries/a.tmp @9:0\nfsync o\nclose o
create o loader/entries/the-name-of-an-entry-that-needs-many-slots-10.conf @10:700\nfsync o
create o loader/entries/the-name-of-an-entry-that-needs-many-slots-11.conf @10:700\nfsync o
create o loader/entries/the-name-of-an-entry-that-needs-many-slots-12.conf @10:700\nfsync o
unlink loader/entries/a.tmp";
const FAR_REPLACED: Rule = |s| s.holds(E, &["old", "new"], &["new"]);
