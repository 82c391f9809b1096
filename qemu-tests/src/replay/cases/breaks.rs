//! Sequences that tools use, or that one would think of, and that a power cut breaks.

use super::*;

const BIG: Rule = |s| s.holds(PROGRAM, &["old-big", "new-big"], &["new-big"]);

/// What breaks; at least one of the kernel's habits shows it.
pub const BREAKS: &[Case] = &[
    Case {
        name: "rename-new",
        about: "write, fsync, rename to a new name, fsync(dir)",
        setup: "",
        steps: "create f loader/entries/new.tmp @11:900\nfsync f\n\
                rename loader/entries/new.tmp loader/entries/new-entry-2.conf\nfsyncdir loader/entries",
        rule: NEW,
        habits: ANY,
    },
    Case {
        name: "copy",
        about: "copy to a new name without fsync",
        setup: "",
        steps: "create f loader/entries/new-entry-2.conf @11:900\nclose f",
        rule: NEW,
        habits: ANY,
    },
    Case {
        name: "direct",
        about: "write under the final name, fsync, syncfs, fsync(dir)",
        setup: "",
        steps: "create f loader/entries/new-entry-2.conf @11:900\nfsync f\nsyncfs\nfsyncdir loader/entries",
        rule: NEW,
        habits: ANY,
    },
    Case {
        name: "rename-over",
        about: "rename over an existing file, fsync(dir)",
        setup: OLD_CONF,
        steps: "close o\ncreate f loader/loader.conf.tmp @11:900\nfsync f\n\
                rename loader/loader.conf.tmp loader/loader.conf\nfsyncdir loader",
        rule: REPLACED,
        habits: ANY,
    },
    Case {
        name: "rename-syncfs",
        about: "rename over an existing file, syncfs (bootctl install)",
        setup: OLD_CONF,
        steps: "close o\ncreate f loader/loader.conf.tmp @11:900\nfsync f\n\
                rename loader/loader.conf.tmp loader/loader.conf\nsyncfs",
        rule: REPLACED,
        habits: ANY,
    },
    Case {
        name: "over-unheld",
        about: "tmp, fsync, barrier, rename over, fsync, barrier; nobody holds the old file",
        setup: OLD_CONF,
        steps: "close o\ncreate f loader/loader.conf.tmp @11:900\nfsync f\nsyncfs\nfsyncdir loader\n\
                rename loader/loader.conf.tmp loader/loader.conf\nfsync f\nsyncfs\nfsyncdir loader",
        rule: REPLACED,
        habits: ANY,
    },
    Case {
        name: "bootctl-link",
        about: "temporaries, syncfs, rename, syncfs (bootctl link)",
        setup: OLD_CONF,
        steps: "close o\ncreate f loader/loader.conf.tmp @11:900\nsyncfs\n\
                rename loader/loader.conf.tmp loader/loader.conf\nsyncfs",
        rule: REPLACED,
        habits: ANY,
    },
    Case {
        name: "exchange-bootc",
        about: "RENAME_EXCHANGE, remove the old one, fsync(parent) (bootc)",
        setup: OLD_PROGRAM,
        steps: "close o\nmkdir EFI/b\ncreate f EFI/b/boot.efi @15:100000\nfsync f\nclose f\n\
                exchange EFI/a EFI/b\nunlink EFI/b/boot.efi\nrmdir EFI/b\nfsyncdir EFI",
        rule: BIG,
        habits: ANY,
    },
    Case {
        name: "exchange-bootupd",
        about: "copy without fsync, RENAME_EXCHANGE, syncfs, remove (bootupd)",
        setup: OLD_PROGRAM,
        steps: "close o\nmkdir EFI/b\ncreate f EFI/b/boot.efi @15:100000\nclose f\n\
                exchange EFI/a EFI/b\nsyncfs\nunlink EFI/b/boot.efi\nrmdir EFI/b\nfsyncdir EFI",
        rule: BIG,
        habits: ANY,
    },
    Case {
        name: "exchange-shares",
        about: "tmp, fsync, barrier, exchange, fsync of both, barrier: for a moment both names own the same clusters",
        setup: OLD_CONF,
        steps: "create f loader/loader.conf.tmp @11:900\nfsync f\nsyncfs\nfsyncdir loader\n\
                exchange loader/loader.conf.tmp loader/loader.conf\nfsync f\nfsync o\nsyncfs\nfsyncdir loader\n\
                unlink loader/loader.conf.tmp\nsyncfs\nfsyncdir loader",
        rule: |s| {
            REPLACED(s)?;
            s.apart()
        },
        habits: ANY,
    },
    Case {
        name: "far-shares",
        about: "tmp, fsync, rename, fsync, barrier, where the two names lie in two sectors: both own the same clusters",
        setup: "create o loader/entries/a.tmp @9:0\nfsync o\nclose o\n\
                create o loader/entries/the-name-of-an-entry-that-needs-many-slots-10.conf @10:700\nfsync o\n\
                create o loader/entries/the-name-of-an-entry-that-needs-many-slots-11.conf @10:700\nfsync o\n\
                create o loader/entries/the-name-of-an-entry-that-needs-many-slots-12.conf @10:700\nfsync o\n\
                unlink loader/entries/a.tmp",
        steps: "create f loader/entries/a.tmp @11:900\nfsync f\n\
                rename loader/entries/a.tmp loader/entries/new-entry-2.conf\nfsync f\nsyncfs\nfsyncdir loader/entries",
        rule: |s| {
            NEW(s)?;
            s.apart()
        },
        habits: ANY,
    },
    Case {
        name: "bless-boot",
        about: "rename of a counted entry, fsync(dir), syncfs (systemd-bless-boot)",
        setup: OLD_COUNTED,
        steps: "close o\nrename loader/entries/new-entry-2+2-1.conf loader/entries/new-entry-2.conf\n\
                fsyncdir loader/entries\nsyncfs",
        rule: one_of_both,
        habits: ANY,
    },
    Case {
        name: "bless-by-rename",
        about: "rename of a counted entry, fsync of the file first, then syncfs and fsync(dir)",
        setup: OLD_COUNTED,
        steps: "rename loader/entries/new-entry-2+2-1.conf loader/entries/new-entry-2.conf\n\
                fsync o\nsyncfs\nfsyncdir loader/entries",
        rule: one_of_both,
        habits: ANY,
    },
    Case {
        name: "delete-bare",
        about: "unlink of the entry and of its kernel, syncfs, fsync(dir)",
        setup: OLD_ENTRY,
        steps: "unlink loader/entries/old-entry-0.conf\nunlink cairn/m/k0-linux\nsyncfs\nfsyncdir cairn/m",
        rule: entry_before_kernel,
        habits: ANY,
    },
    Case {
        name: "delete-unheld",
        about: "entry, barrier, kernel, barrier; nobody holds them: a name owns free clusters for a moment",
        setup: OLD_ENTRY,
        steps: "unlink loader/entries/old-entry-0.conf\nsyncfs\nfsyncdir loader/entries\n\
                unlink cairn/m/k0-linux\nsyncfs\nfsyncdir cairn/m",
        rule: entry_before_kernel,
        habits: ANY,
    },
    Case {
        name: "delete-fsyncdir",
        about: "held, but fsync(dir) alone in the place of the barriers: it does not write the folder's slots",
        setup: OLD_ENTRY,
        steps: "open e loader/entries/old-entry-0.conf\nunlink loader/entries/old-entry-0.conf\nfsyncdir loader/entries\n\
                close e\nfsyncdir loader/entries\nunlink cairn/m/k0-linux\nfsyncdir cairn/m",
        rule: entry_before_kernel,
        habits: ANY,
    },
    Case {
        name: "two-sectors-in-place",
        about: "an environment block of more than a sector: pwrite in place, fsync",
        setup: "mkdir cairn/m/grub\ncreate o cairn/m/grub/grubenv @10:700\nfsync o\nclose o",
        steps: "open f cairn/m/grub/grubenv\npwrite f 0 @11:900\nfsync f",
        rule: |s| s.holds("cairn/m/grub/grubenv", &["old", "new"], &["new"]),
        habits: ANY,
    },
];
