//! The probe guest: a UEFI program of 56 bytes on a small disk, made here byte by byte so that no binary of unknown
//! origin lies in the repository.

use std::io::{self, Cursor, Write};

/// Written to the port of `isa-debug-exit`, which ends QEMU with twice this plus one.
const WORD: u8 = 0x2a;
/// How QEMU ends when the guest has said its word.
pub(super) const EXIT_STATUS: i32 = WORD as i32 * 2 + 1;

/// The guest's instructions: what an emulated or broken KVM trips over first, then the word.
#[rustfmt::skip]
const CODE: [u8; 56] = [
    0xdb, 0xe3,                   // fninit
    0x9b,                         // fwait           (stops a KVM that emulates and does not know it)
    0x66, 0x0f, 0xef, 0xc0,       // pxor   %xmm0,%xmm0
    0x66, 0x0f, 0xd4, 0xc0,       // paddq  %xmm0,%xmm0
    0x48, 0x83, 0xec, 0x28,       // sub    $0x28,%rsp
    0xf3, 0x0f, 0x7f, 0x04, 0x24, // movdqu %xmm0,(%rsp)
    0x31, 0xc0,                   // xor    %eax,%eax
    0x0f, 0xa2,                   // cpuid           (leaves the guest)
    0x0f, 0x31,                   // rdtsc
    0xb9, 0x40, 0x4b, 0x4c, 0x00, // mov    $5000000,%ecx
    0x83, 0xe9, 0x01,             // 1: sub $1,%ecx  (5 million turns: timer interrupts arrive)
    0x75, 0xfb,                   // jnz    1b
    0x0f, 0x20, 0xd8,             // mov    %cr3,%rax
    0x0f, 0x22, 0xd8,             // mov    %rax,%cr3
    0xd9, 0xeb,                   // fldpi
    0xdd, 0xd8,                   // fstp   %st(0)
    0x66, 0xba, 0xf4, 0x00,       // mov    $0xf4,%dx
    0xb0, WORD,                   // mov    $WORD,%al
    0xee,                         // out    %al,(%dx)
    0xf4,                         // 2: hlt
    0xeb, 0xfd,                   // jmp    2b
];

/// A FAT disk with the program where the firmware looks for one.
pub(super) fn disk() -> io::Result<Vec<u8>> {
    let mut disk = Cursor::new(vec![0; 2 << 20]);
    fatfs::format_volume(&mut disk, fatfs::FormatVolumeOptions::new().volume_id(0x6361_6972))?;
    {
        let files = fatfs::FileSystem::new(&mut disk, fatfs::FsOptions::new())?;
        let folder = files.root_dir().create_dir("EFI")?.create_dir("BOOT")?;
        let mut file = folder.create_file("BOOTX64.EFI")?;
        file.write_all(&program())?;
        file.flush()?;
    }
    Ok(disk.into_inner())
}

/// The smallest PE32+ image (PE/COFF 8.3, UEFI 2.10 §2.1.1) around [`CODE`].
#[rustfmt::skip]
fn program() -> Vec<u8> {
    const HEADERS: u32 = 0x200;
    const TEXT: u32 = 0x1000;
    let mut out = b"MZ".to_vec();
    out.resize(0x3c, 0);
    out.extend(0x40u32.to_le_bytes()); // where the PE header is
    out.extend(b"PE\0\0");
    let halves: [u16; 12] = [
        0x8664, // x86-64
        1,      // sections
        0, 0, 0, 0, 0, 0, // time, symbols
        0xf0,   // size of the optional header
        0x0022, // executable, large addresses
        0x020b, // PE32+
        0,      // linker version
    ];
    out.extend(halves.iter().flat_map(|n| n.to_le_bytes()));
    let words: [u32; 27] = [
        HEADERS, // size of the code
        0, 0, // size of data
        TEXT, // entry point
        TEXT, // base of the code
        0, 0, // image base (64 bits): anywhere, the code does not care
        0x1000,  // alignment in memory
        HEADERS, // alignment in the file
        0, 0, 0, 0, // versions
        TEXT + 0x1000, // size in memory
        HEADERS, // size of the headers
        0, // checksum
        10, // subsystem: EFI application
        0, 0, 0, 0, 0, 0, 0, 0, 0, // stack, heap, loader flags
        16, // directories follow, all empty
    ];
    out.extend(words.iter().flat_map(|n| n.to_le_bytes()));
    out.resize(out.len() + 16 * 8, 0);
    out.extend(b".text\0\0\0");
    for n in [0x1000, TEXT, HEADERS, HEADERS, 0, 0, 0, 0x6000_0020] {
        out.extend(u32::to_le_bytes(n));
    }
    out.resize(HEADERS as usize, 0);
    out.extend(CODE);
    out.resize(2 * HEADERS as usize, 0);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_headers_are_where_the_format_wants_them() {
        let program = program();
        assert_eq!(program.len(), 0x400);
        assert_eq!(&program[0x40..0x46], b"PE\0\0\x64\x86");
        assert_eq!(&program[0x58..0x5a], &[0x0b, 0x02]);
        assert_eq!(program[0x58 + 68], 10, "subsystem");
        assert_eq!(&program[0x58 + 0xf0..][..5], b".text");
    }

    #[test]
    fn the_disk_is_the_same_each_time_and_holds_the_program() {
        let disk = disk().unwrap();
        let mut cursor = Cursor::new(disk);
        let files = fatfs::FileSystem::new(&mut cursor, fatfs::FsOptions::new()).unwrap();
        let mut file = files.root_dir().open_file("EFI/BOOT/BOOTX64.EFI").unwrap();
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut file, &mut bytes).unwrap();
        assert_eq!(bytes, program());
    }
}
