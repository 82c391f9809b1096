//! A kernel module's file, which may be compressed, and what the module says about itself in its section `.modinfo`. Pure.

use std::borrow::Cow;
use std::io::Read;

use super::elf;

/// No module of a kernel is nearly as large; what unpacks to more is not believed.
const MOST: u64 = 256 << 20;
/// Memory for the dictionary of xz, in KiB: that of `xz -9` is 64 MiB.
const XZ_MEMORY: u32 = 128 << 10;
/// The same for zstd, as a power of two.
const ZSTD_WINDOW: u32 = 27;

/// The module itself and the firmware files that it names, in their order; `None` if this is no kernel module, plain or
/// compressed by xz or zstd. A name may have wildcards.
pub fn read(file: &[u8]) -> Option<(Cow<'_, [u8]>, Vec<String>)> {
    let module = if file.starts_with(b"\x7fELF") { Cow::Borrowed(file) } else { Cow::Owned(unpack(file)?) };
    let info = elf::section(&module, ".modinfo")?;
    let entries = info.split(|b| *b == 0);
    let named = entries.filter_map(|entry| std::str::from_utf8(entry.strip_prefix(b"firmware=")?).ok());
    let named = named.map(str::to_string).collect();
    Some((module, named))
}

fn unpack(file: &[u8]) -> Option<Vec<u8>> {
    let mut reader: Box<dyn Read + '_> = if file.starts_with(b"\xfd7zXZ\0") {
        Box::new(lzma_rust2::XzReader::new_mem_limit(file, true, XZ_MEMORY))
    } else if file.starts_with(b"\x28\xb5\x2f\xfd") {
        let mut decoder = zstd::stream::read::Decoder::with_buffer(file).ok()?;
        decoder.window_log_max(ZSTD_WINDOW).ok()?;
        Box::new(decoder)
    } else {
        return None;
    };
    let mut bytes = Vec::new();
    let read = reader.by_ref().take(MOST + 1).read_to_end(&mut bytes).ok()?;
    (read as u64 <= MOST).then_some(bytes)
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A module that has nothing but what it says about itself.
    pub fn sample(info: &[&str]) -> Vec<u8> {
        let info: Vec<u8> = info.iter().flat_map(|i| i.bytes().chain([0])).collect();
        let names = b"\0.modinfo\0.shstrtab\0";
        let mut file = b"\x7fELF\x02\x01\x01".to_vec();
        file.resize(64, 0);
        // A relocatable file for x86-64; section headers of 64 bytes after the header, three of them, the last has the names.
        for (at, value) in
            [(0x10, 1u16), (0x12, 62), (0x14, 1), (0x28, 64), (0x34, 64), (0x3a, 64), (0x3c, 3), (0x3e, 2)]
        {
            file[at..at + 2].copy_from_slice(&value.to_le_bytes());
        }
        let begin = 64 + 3 * 64u64;
        let sections = [
            (0u32, 0u32, 0u64, 0u64),
            (1, 1, begin, info.len() as u64),
            (10, 3, begin + info.len() as u64, names.len() as u64),
        ];
        for (name, kind, offset, length) in sections {
            let mut header = [0; 64];
            header[..4].copy_from_slice(&name.to_le_bytes());
            header[4..8].copy_from_slice(&kind.to_le_bytes());
            header[24..32].copy_from_slice(&offset.to_le_bytes());
            header[32..40].copy_from_slice(&length.to_le_bytes());
            file.extend(header);
        }
        file.extend(info);
        file.extend(names);
        file
    }

    /// The same module, compressed by xz as the kernel's build does it: `--check=crc32 --lzma2=dict=1MiB`.
    const XZ: &[u8] = include_bytes!("../../tests/modules/sample.ko.xz");

    #[test]
    fn modules_and_their_firmware_are_read_from_plain_and_compressed_files() {
        let plain = sample(&["license=GPL", "firmware=a.bin", "depends=", "firmware=b/c.bin", "myfirmware=x"]);
        for file in [&plain, &zstd::bulk::compress(&plain, 3).unwrap(), XZ] {
            let (module, firmware) = read(file).unwrap();
            assert_eq!(module, plain);
            assert_eq!(firmware, ["a.bin", "b/c.bin"]);
        }
        assert_eq!(read(&sample(&["license=GPL"])).unwrap().1, Vec::<String>::new());
    }

    #[test]
    fn what_is_no_module_is_none() {
        let plain = sample(&["firmware=a.bin"]);
        let packed = zstd::bulk::compress(&plain, 3).unwrap();
        for bytes in
            [&b""[..], b"\x7fELF", b"\x1f\x8b\x08", &plain[..100], &packed[..packed.len() - 1], &XZ[..XZ.len() - 30]]
        {
            assert_eq!(read(bytes), None);
        }
        for at in 0..XZ.len() {
            let mut bad = XZ.to_vec();
            bad[at] ^= 0x55;
            let _ = read(&bad);
        }
    }

    /// A small file that unpacks to far more than any module has.
    #[test]
    fn a_bomb_does_not_go_off() {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        for _ in 0..(MOST >> 20) + 1 {
            std::io::Write::write_all(&mut encoder, &vec![0; 1 << 20]).unwrap();
        }
        assert_eq!(read(&encoder.finish().unwrap()), None);
    }
}
