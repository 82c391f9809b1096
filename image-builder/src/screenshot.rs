//! A picture of the machine's screen, as PNG.
//!
//! Every QEMU writes PPM; that becomes a PNG here, so no QEMU needs to be built with libpng, and the file's bytes
//! depend on the screen only.

use std::path::Path;

use serde_json::json;

use crate::qemu::{QemuError, Qmp};
use crate::scratch::Scratch;

/// What is on the screen now, as a PNG.
pub(crate) fn take(qmp: &mut Qmp) -> Result<Vec<u8>, QemuError> {
    let mut file = Scratch::new().map_err(QemuError::io("making a scratch file"))?;
    qmp.ask("screendump", json!({ "filename": file.path() }))?;
    let ppm = file.read().map_err(QemuError::io("reading the screen"))?;
    let refuse = || QemuError::Control { command: "screendump".into(), answer: "a picture that is no PPM".into() };
    let (width, height, pixels) = parse_ppm(&ppm).ok_or_else(refuse)?;
    Ok(png(width, height, pixels))
}

/// Writes the picture, whole or not at all.
pub(crate) fn save(png: &[u8], path: &Path) -> Result<(), QemuError> {
    std::fs::write(path, png).map_err(QemuError::io(format!("writing the screenshot {}", path.display())))
}

/// Width, height and the pixels (three bytes each) of a binary PPM with 8 bits.
fn parse_ppm(bytes: &[u8]) -> Option<(u32, u32, &[u8])> {
    let mut words = Vec::new();
    let mut at = 0;
    while words.len() < 4 {
        let start = at + bytes[at..].iter().position(|b| !b.is_ascii_whitespace())?;
        let end = start + bytes[start..].iter().position(u8::is_ascii_whitespace)?;
        words.push(std::str::from_utf8(&bytes[start..end]).ok()?);
        at = end;
    }
    let (width, height): (u32, u32) = (words[1].parse().ok()?, words[2].parse().ok()?);
    let pixels = &bytes[at + 1..];
    let want = u64::from(width) * u64::from(height) * 3;
    (words[0] == "P6" && words[3] == "255" && width > 0 && pixels.len() as u64 == want)
        .then_some((width, height, pixels))
}

/// A PNG (ISO/IEC 15948) of RGB pixels: one chunk of data, run-length coded rows.
fn png(width: u32, height: u32, pixels: &[u8]) -> Vec<u8> {
    let mut raw = Vec::with_capacity(pixels.len() + height as usize);
    for row in pixels.chunks(width as usize * 3) {
        raw.push(0); // filter: none
        raw.extend_from_slice(row);
    }
    let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut header = Vec::new();
    header.extend_from_slice(&width.to_be_bytes());
    header.extend_from_slice(&height.to_be_bytes());
    header.extend_from_slice(&[8, 2, 0, 0, 0]); // bits, RGB, deflate, filters, not interlaced
    chunk(&mut out, *b"IHDR", &header);
    chunk(&mut out, *b"IDAT", &zlib(&raw));
    chunk(&mut out, *b"IEND", &[]);
    out
}

fn chunk(out: &mut Vec<u8>, kind: [u8; 4], data: &[u8]) {
    // A screen is far below 4 GiB.
    out.extend_from_slice(&(data.len() as u32).to_be_bytes());
    let start = out.len();
    out.extend_from_slice(&kind);
    out.extend_from_slice(data);
    let sum = crc32(&out[start..]);
    out.extend_from_slice(&sum.to_be_bytes());
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { 0xedb8_8320 ^ (crc >> 1) } else { crc >> 1 })
    })
}

/// A zlib stream (RFC 1950) of one block with the fixed codes (RFC 1951, 3.2.6). Only repetitions of the pixel before
/// are shortened: a text console is nearly nothing else.
fn zlib(data: &[u8]) -> Vec<u8> {
    let mut bits = Bits { out: vec![0x78, 0x01], held: 0, count: 0 };
    bits.put(0b011, 3); // the last block, fixed codes
    let mut at = 0;
    while at < data.len() {
        let run =
            if at < 3 { 0 } else { (at..data.len().min(at + 258)).take_while(|i| data[*i] == data[*i - 3]).count() };
        // 258, or nothing: one length code is enough for wide empty screens.
        if run == 258 {
            bits.code(0b1100_0101, 8); // length 258 is code 285
            bits.code(2, 5); // distance 3 is code 2
            at += 258;
        } else {
            let byte = u32::from(data[at]);
            if byte < 144 {
                bits.code(0x30 + byte, 8)
            } else {
                bits.code(0x190 + byte - 144, 9)
            }
            at += 1;
        }
    }
    bits.code(0, 7); // end of block
    let (a, b) = data.iter().fold((1u32, 0u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65521;
        (a, (b + a) % 65521)
    });
    let mut out = bits.finish();
    out.extend_from_slice(&((b << 16) | a).to_be_bytes());
    out
}

struct Bits {
    out: Vec<u8>,
    held: u32,
    count: u32,
}

impl Bits {
    /// Numbers go in with the lowest bit first.
    fn put(&mut self, value: u32, bits: u32) {
        self.held |= value << self.count;
        self.count += bits;
        while self.count >= 8 {
            self.out.push(self.held.to_le_bytes()[0]);
            self.held >>= 8;
            self.count -= 8;
        }
    }

    /// Codes go in with the highest bit first.
    fn code(&mut self, value: u32, bits: u32) {
        self.put(value.reverse_bits() >> (32 - bits), bits);
    }

    fn finish(mut self) -> Vec<u8> {
        if self.count > 0 {
            self.put(0, 8 - self.count);
        }
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ppm_is_taken_apart() {
        let (width, height, pixels) = parse_ppm(b"P6\n2 1\n255\nabcdef").unwrap();
        assert_eq!((width, height, pixels), (2, 1, &b"abcdef"[..]));
        assert!(parse_ppm(b"P6\n2 1\n255\nabcde").is_none());
        assert!(parse_ppm(b"P5\n2 1\n255\nab").is_none());
        assert!(parse_ppm(b"P6\n2").is_none());
    }

    #[test]
    fn the_sums_are_those_of_the_standards() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(zlib(b"Wikipedia")[zlib(b"Wikipedia").len() - 4..], 0x11e6_0398u32.to_be_bytes());
    }

    #[test]
    fn another_program_reads_the_same_pixels() {
        // zlib of python is the judge where there is one.
        let Some(_) = cairn_process::find("python3") else {
            cairn_testkit::skip("needs python3");
            return;
        };
        let mut pixels = vec![0u8; 640 * 480 * 3];
        for (i, byte) in pixels.iter_mut().enumerate().skip(100_000).take(50_000) {
            *byte = (i * 7 % 256).to_le_bytes()[0];
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.png");
        std::fs::write(&path, png(640, 480, &pixels)).unwrap();
        let script = "import sys,zlib,struct\n\
            b=open(sys.argv[1],'rb').read(); n=struct.unpack('>I',b[33:37])[0]; assert b[37:41]==b'IDAT'\n\
            assert struct.unpack('>I',b[41+n:45+n])[0]==zlib.crc32(b[37:41+n])\n\
            sys.stdout.buffer.write(zlib.decompress(b[41:41+n]))";
        let tool = cairn_process::Tool::new("python3", "python3", "judge").arg("-c").arg(script).arg(&path);
        let raw = tool.output().unwrap();
        let rows: Vec<u8> = raw.chunks(640 * 3 + 1).flat_map(|row| row[1..].to_vec()).collect();
        assert!(rows == pixels);
        assert!(std::fs::metadata(&path).unwrap().len() < 200_000);
    }
}
