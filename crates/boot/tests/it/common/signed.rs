//! What stands for programs that were signed: a stub and a loader of headers alone, and a signature that is a text.

use super::*;

/// A program of UEFI's of one section, which says that it knows of profiles.
pub fn program(text: &[u8]) -> Vec<u8> {
    const OPTIONAL: usize = 0x80 + 24;
    let mut bytes = vec![0; 1024];
    let mut put = |at: usize, what: &[u8]| bytes[at..at + what.len()].copy_from_slice(what);
    put(0, b"MZ");
    put(0x3c, &0x80_u32.to_le_bytes());
    put(0x80, b"PE\0\0");
    // x86-64, one section, an optional header with all directories; an executable.
    for (at, half) in [(4, 0x8664_u16), (6, 1), (20, 240), (22, 0x0022)] {
        put(0x80 + at, &half.to_le_bytes());
    }
    put(OPTIONAL, &0x20b_u16.to_le_bytes());
    let numbers = [(16, 0x1000_u32), (20, 0x1000), (32, 4096), (36, 512), (56, 8192), (60, 1024), (108, 16)];
    for (at, number) in numbers {
        put(OPTIONAL + at, &number.to_le_bytes());
    }
    // UEFI's own kind of program.
    put(OPTIONAL + 68, &10_u16.to_le_bytes());
    put(OPTIONAL + 240, b".text");
    let len = u32::try_from(text.len()).unwrap();
    for (at, number) in [(8, len), (12, 0x1000), (16, len.next_multiple_of(512)), (20, 1024), (36, 0x6000_0020)] {
        put(OPTIONAL + 240 + at, &number.to_le_bytes());
    }
    bytes.extend(text);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

/// The stub of images.
pub fn stub() -> Vec<u8> {
    program(b"a stub that knows what a .profile is")
}

/// All that is put together, in one.
pub fn bytes(pieces: &[Piece]) -> Vec<u8> {
    let of = |piece: &Piece| match piece {
        Piece::Bytes(bytes) => bytes.clone(),
        Piece::Store(artifact) => store_bytes(artifact),
    };
    pieces.iter().flat_map(of).collect()
}

fn sign(unsigned: &Unsigned) -> Signed {
    let mut signed = unsigned.signed(b"signed by me");
    signed.sha256 = Sha256::digest(bytes(&signed.pieces)).into();
    signed
}

/// The image of a generation, signed.
pub fn image(generation: &Generation) -> Signed {
    sign(&Unsigned::image(&stub(), generation, None).unwrap())
}

/// A loader, signed.
pub fn loader(loader: &Artifact) -> Signed {
    sign(&Unsigned::program(program(&store_bytes(loader))).unwrap())
}

/// The images of these generations, and what a firmware is given.
pub fn images(generations: &[Generation]) -> Images {
    let generations = generations.iter().map(|one| (one.number, vec![image(one)])).collect();
    Images { generations, enrolled: ENROLLED.map(|path| (path, format!("a key for {path}").into_bytes())).to_vec() }
}
