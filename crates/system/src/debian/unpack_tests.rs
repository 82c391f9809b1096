//! Streams of all kinds, unpacked.

use tar::{Builder, Header};

use super::*;

struct Sample(Builder<Vec<u8>>);

impl Sample {
    fn new() -> Sample {
        let mut sample = Sample(Builder::new(Vec::new()));
        sample.entry("./", EntryType::Directory, 0o755, 0, "", b"");
        sample.entry("./boot/vmlinuz-6.1", EntryType::Regular, 0o644, 0, "", b"kernel");
        sample.entry("./usr/lib/modules/6.1/", EntryType::Directory, 0o755, 0, "", b"");
        sample
    }

    fn entry(&mut self, path: &str, kind: EntryType, mode: u32, gid: u64, link: &str, data: &[u8]) {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(gid);
        header.set_size(data.len() as u64);
        header.set_path(path).unwrap();
        if !link.is_empty() {
            header.set_link_name(link).unwrap();
        }
        header.set_cksum();
        self.0.append(&header, data).unwrap();
    }

    fn unpack(self, dir: &Path) -> Result<Unpacked, Stopped> {
        unpack(self.0.into_inner().unwrap().as_slice(), dir)
    }
}

fn told(result: Result<Unpacked, Stopped>) -> String {
    match result.unwrap_err() {
        Stopped::Here(error) => error.to_string(),
        Stopped::Stream(error) => format!("stream: {error}"),
    }
}

#[test]
fn special_modes_are_written_down_and_not_given() {
    let dir = tempfile::tempdir().unwrap();
    let mut sample = Sample::new();
    sample.entry("./usr/bin/su", EntryType::Regular, 0o4755, 0, "", b"su");
    sample.entry("./usr/bin/su2", EntryType::Link, 0o4755, 0, "./usr/bin/su", b"");
    sample.entry("./etc/shadow", EntryType::Regular, 0o640, 42, "", b"root:*:");
    sample.entry("./etc/passwd", EntryType::Regular, 0o644, 0, "", b"root");
    sample.entry("./var/mail/", EntryType::Directory, 0o2775, 8, "", b"");
    sample.entry("./dev/null", EntryType::Char, 0o666, 0, "", b"");
    sample.entry("./bin", EntryType::Symlink, 0o777, 0, "usr/bin", b"");
    let unpacked = sample.unpack(dir.path()).unwrap();
    assert_eq!(unpacked.kernel_release, "6.1");
    assert_eq!(unpacked.modes.to_string(), "0640 0 42 etc/shadow\n4755 0 0 usr/bin/su\n4755 0 0 usr/bin/su2\n");
    let mode = fs::metadata(dir.path().join("usr/bin/su")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o755);
    assert_eq!(fs::read(dir.path().join("boot/vmlinuz")).unwrap(), b"kernel");
    assert!(!dir.path().join("dev").exists() && !dir.path().join("bin").exists());
}

#[test]
fn capabilities_are_read_from_the_pax_headers() {
    let dir = tempfile::tempdir().unwrap();
    let mut sample = Sample::new();
    sample.0.append_pax_extensions([("SCHILY.xattr.security.capability", b"\x01\0\x00\x02".as_slice())]).unwrap();
    sample.entry("./usr/bin/ping", EntryType::Regular, 0o755, 0, "", b"ping");
    assert_eq!(sample.unpack(dir.path()).unwrap().modes.to_string(), "0755 0 0 usr/bin/ping 01000002\n");
}

#[test]
fn compiled_python_fits_its_source_in_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let mut sample = Sample::new();
    let timed = b"\xf3\x0d\r\n\0\0\0\0\xee\x39\x62\x68\x05\0\0\0code";
    let hashed = b"\xf3\x0d\r\n\x03\0\0\0hashhashcode";
    sample.entry("./usr/a.pyc", EntryType::Regular, 0o644, 0, "", timed);
    sample.entry("./usr/b.pyc", EntryType::Regular, 0o644, 0, "", hashed);
    sample.unpack(dir.path()).unwrap();
    let read = |name: &str| fs::read(dir.path().join(name)).unwrap();
    assert_eq!(read("usr/a.pyc"), b"\xf3\x0d\r\n\0\0\0\0\x01\0\0\0\x05\0\0\0code");
    assert_eq!(read("usr/b.pyc"), hashed);
}

#[test]
fn what_a_base_cannot_hold_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let mut sample = Sample::new();
    sample.entry("./usr/fifo", EntryType::Fifo, 0o644, 0, "", b"");
    assert!(told(sample.unpack(dir.path())).contains("usr/fifo is of a kind"));

    let dir = tempfile::tempdir().unwrap();
    let mut sample = Sample::new();
    sample.entry("./boot/vmlinuz-6.2", EntryType::Regular, 0o644, 0, "", b"kernel");
    assert!(told(sample.unpack(dir.path())).contains("two kernels, 6.1 and 6.2"));

    let dir = tempfile::tempdir().unwrap();
    let empty = unpack([0; 1024].as_slice(), dir.path()).unwrap();
    assert!(empty.check(dir.path()).unwrap_err().to_string().contains("there is no kernel"));
}

#[test]
fn a_stream_that_breaks_off_is_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let mut sample = Sample::new();
    sample.entry("./usr/big", EntryType::Regular, 0o644, 0, "", &[7; 4096]);
    let bytes = sample.0.into_inner().unwrap();
    assert!(told(unpack(&bytes[..bytes.len() - 4096], dir.path())).starts_with("stream: "));
}

#[test]
fn a_hard_link_to_what_is_left_out_gets_its_contents() {
    let dir = tempfile::tempdir().unwrap();
    let mut sample = Sample::new();
    // As Debian's kernels are from 7 on; and the kernel itself under two names, in either order.
    sample.entry("./boot/config-6.1", EntryType::Regular, 0o640, 7, "", b"config");
    sample.entry("./boot/config-old", EntryType::Link, 0o640, 7, "./boot/config-6.1", b"");
    sample.entry("./tmp/link", EntryType::Symlink, 0o777, 0, "there", b"");
    sample.entry("./usr/lib/modules/6.1/config", EntryType::Link, 0o640, 7, "./boot/config-6.1", b"");
    sample.entry("./usr/lib/modules/6.1/again", EntryType::Link, 0o640, 7, "./boot/config-old", b"");
    sample.entry("./usr/lib/modules/6.1/vmlinuz", EntryType::Link, 0o644, 0, "./boot/vmlinuz-6.1", b"");
    sample.entry("./usr/link", EntryType::Link, 0o777, 0, "./tmp/link", b"");
    sample.entry("./var/cache/x", EntryType::Link, 0o644, 0, "./usr/lib/modules/6.1/vmlinuz", b"");
    let unpacked = sample.unpack(dir.path()).unwrap();
    assert_eq!(unpacked.modes.to_string(), "0640 0 7 usr/lib/modules/6.1/again\n0640 0 7 usr/lib/modules/6.1/config\n");
    let read = |name: &str| fs::read(dir.path().join(name)).unwrap();
    assert_eq!(read("usr/lib/modules/6.1/config"), b"config");
    assert_eq!(read("usr/lib/modules/6.1/again"), b"config");
    assert_eq!(read("usr/lib/modules/6.1/vmlinuz"), b"kernel");
    assert_eq!(fs::read_link(dir.path().join("usr/link")).unwrap(), Path::new("there"));
    let mut there: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    there.sort();
    assert_eq!(there, ["boot", "usr"]);
    assert!(!dir.path().join("var/cache/x").exists() && !dir.path().join("boot/config-6.1").exists());
}

#[test]
fn a_hard_link_to_nothing_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let mut sample = Sample::new();
    sample.entry("./usr/x", EntryType::Link, 0o644, 0, "./usr/nothing", b"");
    assert!(told(sample.unpack(dir.path())).contains("usr/x is a hard link to usr/nothing, which is not there"));
}

#[test]
fn a_name_that_is_not_utf8_matters_only_where_it_is_kept() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let sample = |path: &[u8]| {
        let mut sample = Sample::new();
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(0);
        header.set_path(OsStr::from_bytes(path)).unwrap();
        header.set_cksum();
        sample.0.append(&header, [].as_slice()).unwrap();
        sample
    };
    let dir = tempfile::tempdir().unwrap();
    sample(b"tmp/\xff").unpack(dir.path()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    assert!(told(sample(b"usr/\xff").unpack(dir.path())).contains("the name of usr/\u{fffd} is not UTF-8"));
}

/// An entry whose name is not held to anything by the one who writes it.
fn raw(sample: &mut Sample, path: &[u8], kind: EntryType, link: &[u8]) {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(if kind == EntryType::Regular { 1 } else { 0 });
    let old = header.as_old_mut();
    old.name[..path.len()].copy_from_slice(path);
    old.linkname[..link.len()].copy_from_slice(link);
    header.set_cksum();
    let data: &[u8] = if kind == EntryType::Regular { b"x" } else { b"" };
    sample.0.append(&header, data).unwrap();
}

#[test]
fn no_entry_is_written_outside_or_behind_a_link() {
    let victim = tempfile::tempdir().unwrap();
    let out = victim.path().to_str().unwrap().as_bytes();
    let kinds = [EntryType::Regular, EntryType::Directory, EntryType::Symlink];
    for name in [
        &b"../x"[..],
        b"usr/../../x",
        b"usr/..",
        b"usr/a\nb",
        b"usr/a\x1b[2J",
        b"usr/\xff\xfe",
        b"boot/vmlinuz-..",
        b"boot/vmlinuz-.",
    ] {
        for kind in kinds {
            let dir = tempfile::tempdir().unwrap();
            let mut sample = Sample::new();
            raw(&mut sample, name, kind, b"x");
            assert!(sample.unpack(dir.path()).is_err(), "{:?} {kind:?}", String::from_utf8_lossy(name));
        }
    }
    for first in ["usr/l", "etc/l", "var/l", "usr/deep/er/l"] {
        for (more, kind) in [
            ("/x", EntryType::Regular),
            ("/x/y", EntryType::Regular),
            ("/x", EntryType::Directory),
            ("/x", EntryType::Symlink),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let mut sample = Sample::new();
            raw(&mut sample, first.as_bytes(), EntryType::Symlink, out);
            raw(&mut sample, format!("{first}{more}").as_bytes(), kind, b"x");
            assert!(sample.unpack(dir.path()).is_err(), "{first}{more}");
        }
        // A second entry of the name, which would be written through the first.
        for kind in kinds {
            let dir = tempfile::tempdir().unwrap();
            let mut sample = Sample::new();
            raw(&mut sample, first.as_bytes(), EntryType::Symlink, &[out, b"/made"].concat());
            raw(&mut sample, first.as_bytes(), kind, b"x");
            assert!(sample.unpack(dir.path()).is_err(), "{first}");
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let mut sample = Sample::new();
    raw(&mut sample, b"usr/h", EntryType::Link, b"../../../etc/passwd");
    assert!(sample.unpack(dir.path()).is_err());
    assert_eq!(fs::read_dir(victim.path()).unwrap().count(), 0);
}
