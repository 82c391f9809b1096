//! What the initrd is made of, as other people's packages say it: programs (ELF) and what a kernel says of its modules. And
//! device trees, which somebody names in a machine file.

use cairn_system::initrd::{Modules, Texts, elf};
use cairn_system::signed::is_signed;

use super::Target;
use crate::parts::{parts, whole};

/// A program or a library.
pub(super) const ELF: Target = Target {
    name: "elf",
    seeds: elf_seeds,
    words: &["\u{7f}ELF\u{2}\u{1}", "\u{1}\0\0\0\0\0\0\0", "\u{5}\0\0\0\0\0\0\0", ".interp\0", "libc.so.6\0"],
    most: 2048,
    quick: 20_000,
    run: elf,
};

/// An EFI program, such as a kernel, of which it is asked whether it is signed.
pub(super) const SIGNED: Target = Target {
    name: "signed-program",
    seeds: signed_seeds,
    words: &["MZ", "PE\0\0", "\u{b}\u{2}", "\u{b}\u{1}", "\0\u{2}\u{2}\0", "\u{40}\0\0\0", "\u{ff}\u{ff}\u{ff}\u{ff}"],
    most: 1024,
    quick: 20_000,
    run: signed,
};

/// What `depmod` writes about a kernel's modules.
pub(super) const MODULES: Target = Target {
    name: "kernel-modules",
    seeds: modules_seeds,
    words: &[
        "\u{1e}",
        "\n",
        " ",
        "*",
        "?",
        "[!a-",
        "]",
        "\\",
        "-",
        "alias ",
        "softdep ",
        " pre: ",
        " post: ",
        ".ko.xz",
        ": ",
        "ext4.firmware=",
        "\0",
    ],
    most: 2048,
    quick: 10_000,
    run: modules,
};

/// A compiled device tree, and the hash of a password: files that a machine file names.
pub(super) const NAMED_FILE: Target = Target {
    name: "named-file",
    seeds: || {
        let tree = [&[0xd0, 0x0d, 0xfe, 0xed, 0, 0, 0, 48][..], &[0; 40]].concat();
        vec![tree, b"// a board\n/dts-v1/;\n/ { };\n".into(), b"$y$j9T$abcdefgh$0123456789\n".into()]
    },
    words: &["/dts-v1/", "$y$", "$", ":", "\n"],
    most: 512,
    quick: 30_000,
    run: named_file,
};

/// A file with a dynamic section, a library, a version that it wants and one that it has, and names of its sections.
fn elf_seeds() -> Vec<Vec<u8>> {
    let mut file = vec![0; 0x400];
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    let words = |words: &[u64]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    put(0, b"\x7fELF\x02\x01");
    put(0x12, &[62]);
    // Where the headers of segments and sections are, how large each is, and how many there are.
    put(0x20, &words(&[0x40, 0x300]));
    put(0x36, &[56, 0, 3, 0, 64, 0, 2, 0, 1, 0]);
    put(0x40, &words(&[1, 0, 0x1000, 0, 0x400]));
    put(0x78, &words(&[2, 0x100, 0x1100, 0, 0x60]));
    put(0xb0, &words(&[3, 0x210, 0x1210, 0, 0x10]));
    put(0x100, &words(&[5, 0x1200, 1, 1, 29, 1, 0x6fff_fffe, 0x1180, 0x6fff_fffc, 0x11b0, 0, 0]));
    // A library with one version, which has the name of the library.
    put(0x180, &[1, 0, 1, 0, 1, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0]);
    put(0x190, &[0, 0, 0, 0, 0, 0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    put(0x1b0, &[1, 0, 0, 0, 2, 0, 1, 0, 0, 0, 0, 0, 20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]);
    put(0x200, b"\0libc.so.6\0");
    put(0x210, b"/lib/ld.so\0");
    put(0x318, &words(&[0x210, 16]));
    put(0x340, &[1]);
    put(0x358, &words(&[0x220, 16]));
    put(0x220, b"\0.interp\0");
    vec![file]
}

fn elf(bytes: &[u8]) {
    let _ = elf::machine(bytes);
    let _ = elf::needs(bytes);
    let _ = elf::provides(bytes);
    if let Some(contents) = elf::section(bytes, ".interp") {
        assert!(contents.len() <= bytes.len());
    }
}

/// Headers alone, and a certificate of another kind before one that is a signature.
fn signed_seeds() -> Vec<Vec<u8>> {
    let mut file = vec![0; 0x180];
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"MZ");
    put(0x3c, &[0x40]);
    put(0x40, b"PE\0\0");
    put(0x54, &[240]);
    put(0x58, &[0x0b, 2]);
    // How many directories there are, and of the fifth where it is and how long.
    put(0x58 + 108, &[16]);
    put(0x58 + 112 + 32, &[0x60, 1, 0, 0, 0x20]);
    put(0x160, &[9, 0, 0, 0, 0, 2, 1, 0, 7]);
    put(0x170, &[16, 0, 0, 0, 0, 2, 2, 0, 0x30, 0x82]);
    vec![file]
}

fn signed(bytes: &[u8]) {
    let _ = is_signed(bytes);
    // A loader that is to be signed.
    if let Ok(unsigned) = cairn_boot::Unsigned::program(bytes.to_vec()) {
        let size: u64 = unsigned.pieces().iter().map(cairn_boot::Piece::len).sum();
        let signed = unsigned.signed(b"signature");
        assert!(!is_signed(bytes) && size < bytes.len() as u64 + 8 && signed.size == size + 24);
    }
}

fn modules_seeds() -> Vec<Vec<u8>> {
    let dep =
        "kernel/fs/ext4.ko.xz: kernel/fs/jbd2.ko.xz\nkernel/fs/jbd2.ko.xz:\nkernel/net/net.ko:\nkernel/a/bus-dma.ko:\n";
    let alias =
        "# x\nalias fs-ext4 ext4\nalias pci:v000010ECd*sv* net\nalias b[u-v]?-[!0-8]* bus_dma\nalias loop loop\n";
    let softdep = "softdep ext4 pre: crypto-crc32c post: fs-xfs\nsoftdep net pre: bus-9\n";
    let modinfo = "xfs.softdep=pre: net\0xfs.alias=fs-xfs\0xfs.firmware=usb.fw\0xfs.license=GPL\0";
    let symbols = "alias symbol:crc bus_dma\n";
    let builtin = "kernel/fs/xfs/xfs.ko\n";
    vec![whole(&[
        dep,
        alias,
        symbols,
        softdep,
        "weakdep net ext4\n",
        builtin,
        modinfo,
        "fs-ext4 net pci:v000010ECd1sv2",
    ])]
}

fn modules(input: &[u8]) {
    let [dep, alias, symbols, softdep, weakdep, builtin, builtin_modinfo, wanted] = parts(input);
    let modules = Modules::parse(&Texts { dep, alias, symbols, softdep, weakdep, builtin, builtin_modinfo });
    let wanted: Vec<&str> = wanted.split_ascii_whitespace().collect();
    let closure = modules.closure(wanted.iter().copied());
    assert!(closure.files.len() <= modules.names().count());
    let _ = wanted.iter().filter(|name| modules.has(name)).count();
}

fn named_file(bytes: &[u8]) {
    let _ = cairn_machine::device_tree(bytes);
    if let Ok(hash) = cairn_machine::password_hash(bytes) {
        assert!(!hash.contains([':', '\n']), "{hash:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_inputs_begin_with_is_read() {
        assert!(signed_seeds().iter().all(|seed| is_signed(seed)));
        for seed in elf_seeds() {
            let needs = elf::needs(&seed).unwrap();
            assert_eq!((needs.libraries.len(), needs.folders.len(), needs.versions.len()), (1, 1, 1), "{needs:?}");
            assert!(needs.interpreter.is_some() && elf::section(&seed, ".interp").is_some());
            assert_eq!(elf::provides(&seed).unwrap().len(), 1);
        }
        for seed in modules_seeds() {
            let [dep, alias, .., wanted] = parts::<8>(&seed);
            let modules = Modules::parse(&Texts { dep, alias, ..Texts::default() });
            assert_eq!(modules.closure(wanted.split(' ')).files.len(), 3);
        }
    }
}
