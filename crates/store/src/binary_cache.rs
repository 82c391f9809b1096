//! A closure as a binary cache: a folder of narinfo files and NARs that `nix copy --from file://…` reads.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use nix_archive::nar::{CaseHack, encode_path};
use sha2::{Digest, Sha256};

use crate::{PathInfo, STORE_DIR, Store, StoreError};

/// How the NARs are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// With zstd, which every Nix since 2.4 reads.
    Zstd,
}

impl Compression {
    fn name(self) -> &'static str {
        match self {
            Compression::None => "none",
            Compression::Zstd => "zstd",
        }
    }

    fn suffix(self) -> &'static str {
        match self {
            Compression::None => "nar",
            Compression::Zstd => "nar.zst",
        }
    }
}

/// Writes the paths into `dir`. What is there already is written over; a narinfo comes after its NAR.
///
/// Nix takes a path from a cache when it is content-addressed or signed by a key that it trusts; sign the others with
/// [`PathInfo::sign`] before.
///
/// # Errors
/// [`StoreError::Io`], [`StoreError::Nar`], and [`StoreError::Damaged`] when a path is not what its info says.
pub fn write(dir: &Path, infos: &[PathInfo], store: &Store, compression: Compression) -> Result<(), StoreError> {
    let nars = dir.join("nar");
    fs::create_dir_all(&nars).map_err(StoreError::io("making", &nars))?;
    put(&dir.join("nix-cache-info"), &format!("StoreDir: {STORE_DIR}\n"))?;
    for info in infos {
        let (file_hash, file_size) = write_nar(&nars, info, store, compression)?;
        let narinfo = dir.join(format!("{}.narinfo", info.path.hash_part()));
        put(&narinfo, &narinfo_text(info, &file_hash, file_size, compression))?;
    }
    Ok(())
}

/// Gives the hash and the size of the file.
fn write_nar(
    nars: &Path,
    info: &PathInfo,
    store: &Store,
    compression: Compression,
) -> Result<(String, u64), StoreError> {
    let top = store.real_path(&info.path);
    let new = nars.join(format!("{}.new", info.path.hash_part()));
    let file = File::create(&new).map_err(StoreError::io("making", &new))?;
    let mut file = Hashing::new(BufWriter::with_capacity(256 * 1024, file));
    let written = |source| StoreError::Nar { path: top.clone(), source };
    let io = || StoreError::io("writing", &new);
    let nar_hash = match compression {
        Compression::None => {
            encode_path(&mut file, &top, CaseHack::Disabled).map_err(written)?;
            file.hash.clone().finalize()
        }
        Compression::Zstd => {
            let encoder = zstd::Encoder::new(&mut file, 0).map_err(io())?;
            let mut nar = Hashing::new(encoder);
            encode_path(&mut nar, &top, CaseHack::Disabled).map_err(written)?;
            nar.inner.finish().map_err(io())?;
            nar.hash.finalize()
        }
    };
    file.flush().map_err(io())?;
    if nar_hash.as_slice() != info.nar_hash {
        return Err(store.damaged(&info.path, "its files are not what they were".to_string()));
    }
    let hash = nix_derivation::nixbase32::encode(&file.hash.finalize());
    let place = nars.join(format!("{hash}.{}", compression.suffix()));
    fs::rename(&new, &place).map_err(StoreError::io("writing", &place))?;
    Ok((hash, file.size))
}

fn narinfo_text(info: &PathInfo, file_hash: &str, file_size: u64, compression: Compression) -> String {
    let mut text = String::new();
    let references: Vec<&str> = info.references.iter().map(super::StorePath::base_name).collect();
    // Writing to a string cannot fail.
    let _ = writeln!(text, "StorePath: {}", info.path);
    let _ = writeln!(text, "URL: nar/{file_hash}.{}", compression.suffix());
    let _ = writeln!(text, "Compression: {}", compression.name());
    let _ = writeln!(text, "FileHash: sha256:{file_hash}\nFileSize: {file_size}");
    let _ = writeln!(text, "NarHash: {}\nNarSize: {}", info.nar_hash_base32(), info.nar_size);
    let _ = writeln!(text, "References: {}", references.join(" "));
    for signature in &info.signatures {
        let _ = writeln!(text, "Sig: {signature}");
    }
    if let Some(ca) = &info.ca {
        let _ = writeln!(text, "CA: {ca}");
    }
    text
}

fn put(path: &Path, text: &str) -> Result<(), StoreError> {
    fs::write(path, text).map_err(StoreError::io("writing", path))
}

/// Hashes and counts what goes through.
struct Hashing<W> {
    inner: W,
    hash: Sha256,
    size: u64,
}

impl<W> Hashing<W> {
    fn new(inner: W) -> Hashing<W> {
        Hashing { inner, hash: Sha256::new(), size: 0 }
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(bytes)?;
        self.hash.update(&bytes[..n]);
        self.size += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_flushed_is_in_the_file() {
        let mut file = Hashing::new(BufWriter::new(Vec::new()));
        file.write_all(b"nar").unwrap();
        file.flush().unwrap();
        assert_eq!((file.inner.get_ref().as_slice(), file.size), (&b"nar"[..], 3));
    }
}
