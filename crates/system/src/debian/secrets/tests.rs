//! Trees as maintainer scripts leave them.

use std::fs;

use tempfile::TempDir;

use super::*;
use crate::debian::modes::Mode;

struct Sample {
    dir: TempDir,
    modes: Modes,
}

impl Sample {
    /// A tree with one package, `foo`, whose files and script these are.
    fn new(files: &[(&str, &str)], script: &str) -> Sample {
        let mut sample = Sample { dir: tempfile::tempdir().unwrap(), modes: Modes::default() };
        let list: String = files.iter().map(|(path, _)| format!("/{path}\n")).collect();
        for (path, text) in files {
            sample.put(path, 0o644, text.as_bytes());
        }
        sample.put("var/lib/dpkg/info/foo.list", 0o644, format!("/.\n/etc\n/etc/foo\n{list}").as_bytes());
        sample.put("var/lib/dpkg/info/foo.postinst", 0o755, script.as_bytes());
        sample.put("var/lib/dpkg/info/bar:amd64.list", 0o644, b"/.\n/etc\n");
        sample
    }

    fn put(&mut self, path: &str, mode: u32, bytes: &[u8]) {
        let place = self.dir.path().join(path);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::write(place, bytes).unwrap();
        self.mode(path, mode);
    }

    fn mode(&mut self, path: &str, mode: u32) {
        let mode = Mode { mode, uid: 0, gid: 0, capability: None };
        if !mode.is_plain_file() {
            self.modes.0.insert(path.into(), mode);
        }
    }

    fn found(&self) -> Vec<(String, Option<String>)> {
        find(self.dir.path(), &self.modes).unwrap().into_iter().map(|s| (s.path, s.package)).collect()
    }
}

const TEMPLATE: &str = "database = FooBackend\nServerIdentifier fallback01\npassword = @PASSWORD@\n";

#[test]
fn a_password_that_was_drawn_is_found_with_its_package() {
    let mut sample = Sample::new(&[("usr/share/foo/template", TEMPLATE)], "sed s/@PASSWORD@/$(pwgen 12)/");
    sample.put("etc/foo/foo.conf", 0o640, TEMPLATE.replace("@PASSWORD@", "TgDwrQEqQFGh").as_bytes());
    assert_eq!(sample.found(), [("/etc/foo/foo.conf".into(), Some("foo".into()))]);
}

#[test]
fn private_settings_from_a_template_are_no_secret() {
    let mut sample = Sample::new(&[("usr/share/foo/template", TEMPLATE)], "echo isFromTheScript2 >> /etc/foo/foo.conf");
    let text = format!("# written 20251129T030418Z\n{TEMPLATE}isFromTheScript2\n").replace("@PASSWORD@", "");
    sample.put("etc/foo/foo.conf", 0o640, text.as_bytes());
    sample.put("etc/security/opasswd", 0o600, b"");
    sample.put("etc/shadow", 0o640, b"root:*:20000:0:99999:7:::\nfoo:!*:20000::::::\n");
    sample.put("var/lib/foo/empty.db", 0o600, &[0; 4096]);
    let dh = "-----BEGIN DH PARAMETERS-----\nMIGLAoGBANorDcOQl/E0ZTWRFkCJMd214\n-----END DH PARAMETERS-----\n";
    sample.put("etc/foo/dh", 0o600, dh.as_bytes());
    assert_eq!(sample.found(), []);
}

#[test]
fn what_a_package_ships_is_public_however_private_it_looks() {
    let key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n";
    let mut sample = Sample::new(&[("usr/share/foo/test.key", key), ("etc/foo/sample.key", key)], "");
    sample.mode("etc/foo/sample.key", 0o600);
    // And a copy of it is no secret either.
    sample.put("etc/foo/copy.key", 0o600, key.as_bytes());
    assert_eq!(sample.found(), []);
}

#[test]
fn keys_of_every_form_are_found() {
    let random: Vec<u8> = (0..64_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    let hex: Vec<String> = random.iter().map(|b| format!("0x{b:02x}")).collect();
    for (mode, bytes) in [
        (0o400, random.clone()),
        (0o600, format!("[keys]\nmod={}\n", hex.join(",")).into_bytes()),
        (0o600, b"InitiatorName=iqn.1993-08.org.debian:01:206f5e27863\n".to_vec()),
        // Everybody may read these, and what they hold is a key or a password by its looks.
        (0o644, b"-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQ\n".to_vec()),
        (0o644, b"admin:$6$Qm9vVG9r$hPZ0c9QvLw3pN1xK7sJt2yRb4\n".to_vec()),
        (0o644, b"olcRootPW:: e1NTSEF9YzV0SDZFc21WWmg5RjNYUU03S3pYU1l5\n".to_vec()),
    ] {
        let mut sample = Sample::new(&[], "");
        sample.put("etc/foo/key", mode, &bytes);
        assert_eq!(
            sample.found(),
            [("/etc/foo/key".into(), Some("foo".into()))],
            "{}",
            String::from_utf8_lossy(&bytes)
        );
    }
}

#[test]
fn what_lies_in_a_private_folder_is_private() {
    let mut sample = Sample::new(&[], "make-cookie > /var/lib/baz/cookie");
    sample.put("var/lib/baz/deep/cookie", 0o644, b"KrkWk9SymADM2WcEhqt\n");
    assert_eq!(sample.found(), []);
    sample.mode("var/lib/baz", 0o700);
    assert_eq!(sample.found(), [("/var/lib/baz/deep/cookie".into(), Some("foo".into()))]);
}

#[test]
fn new_databases_of_a_server_and_compiled_python_are_none() {
    let mut sample = Sample::new(&[], "");
    let random: Vec<u8> = (0..64_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    sample.put("var/lib/postgresql/17/main/global/pg_control", 0o600, &random);
    sample.put("var/lib/mysql/ibdata1", 0o660, &random);
    sample.put("usr/lib/python3/x.pyc", 0o600, &random);
    assert_eq!(sample.found(), []);
}

#[test]
fn a_file_that_was_diverted_is_its_packages() {
    let mut sample = Sample::new(&[("etc/foo/real", "x")], "");
    sample.put("var/lib/dpkg/diversions", 0o644, b"/etc/foo/real\n/etc/foo/real.diverted\nbar\n");
    sample.put("etc/foo/real.diverted", 0o600, b"206f5e27863aa\n");
    assert_eq!(sample.found(), []);
}

/// What lies elsewhere on the machine that builds is neither looked at nor counted as known.
#[test]
fn no_link_leads_out_of_the_base() {
    let outside = tempfile::tempdir().unwrap();
    let key = "-----BEGIN PRIVATE KEY-----\nTgDwrQEqQFGhTgDwrQEqQFGh\n-----END PRIVATE KEY-----\n";
    fs::create_dir_all(outside.path().join("share")).unwrap();
    fs::write(outside.path().join("share/known"), "TgDwrQEqQFGh\n").unwrap();
    fs::write(outside.path().join("host.key"), key).unwrap();
    let mut sample = Sample::new(&[], "");
    std::os::unix::fs::symlink(outside.path(), sample.dir.path().join("etc")).unwrap();
    assert_eq!(sample.found(), [], "a key of the host's");
    fs::remove_file(sample.dir.path().join("etc")).unwrap();
    // A package's list names a file behind such a link: its words are not the package's.
    sample.put("etc/foo/foo.conf", 0o640, b"password = TgDwrQEqQFGh\n");
    sample.put("var/lib/dpkg/info/foo.list", 0o644, b"/usr/share/known\n");
    fs::create_dir_all(sample.dir.path().join("usr")).unwrap();
    std::os::unix::fs::symlink(outside.path().join("share"), sample.dir.path().join("usr/share")).unwrap();
    assert_eq!(sample.found().len(), 1);
}
