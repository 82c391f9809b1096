//! A machine's own keys for Secure Boot, and signatures by them. The cryptography is all the base's own programs': openssl draws the
//! keys and signs what the firmware is given, sbsigntool signs programs. Nothing of that is in a store.
//!
//! Three keys, as UEFI has them (UEFI 2.10, 32.3): the platform key (PK) says who may change the others, the key exchange key (KEK) who
//! may change which programs are known, and `db` which programs those are.

mod variable;

use std::fs;
use std::path::{Path, PathBuf};

use cairn_process::ToolError;
use uuid::Uuid;

use crate::programs::base_program;
use variable::Variable;

/// The keys, each before the one that it vouches for.
const KEYS: [&str; 3] = ["PK", "KEK", "db"];
/// What signs programs: a private key, as PEM.
pub const KEY: &str = "db.key";
/// The certificate of that key, as PEM.
pub const CERTIFICATE: &str = "db.crt";
/// The same as the firmware keeps it, DER.
pub const CERTIFICATE_DER: &str = "db.der";
/// What the firmware is given, in this order of names: `EFI_VARIABLE_AUTHENTICATION_2`, and then the variable's contents.
pub const ENROLLED: [&str; 3] = ["PK.auth", "KEK.auth", "db.auth"];

const SBSIGNTOOL: &str = "sbsigntool";
/// openssl's settings, so that nobody else's count.
const SETTINGS: &str = "[req]\ndistinguished_name = name\nx509_extensions = more\nprompt = no\n[name]\nCN = NAME\n[more]\n\
                        basicConstraints = critical, CA:FALSE\nsubjectKeyIdentifier = hash\n";
/// Twenty years: firmware does not look at it, and other programs do.
const DAYS: &str = "7305";

/// Why there are no keys, or no signature.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeysError {
    /// A program of the base.
    #[error("{doing}")]
    Program {
        /// What it was run for.
        doing: &'static str,
        /// Why it did not work.
        source: ToolError,
    },
    /// What openssl has signed cannot be read.
    #[error("openssl made something else than a signature")]
    NoSignature,
    /// The file system.
    #[error("{doing} {}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why it did not work.
        source: std::io::Error,
    },
}

fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> KeysError {
    let path = path.to_path_buf();
    move |source| KeysError::Io { doing, path, source }
}

/// Draws new keys for a machine of this name, into a folder that nobody else may look into: for each a private key, a certificate, and
/// what the firmware is given, as made at this moment (seconds since 1970). `owner` says in the firmware's lists whose they are.
///
/// # Errors
/// See [`KeysError`].
pub fn draw(base: &Path, name: &str, owner: Uuid, now: i64, folder: &Path) -> Result<(), KeysError> {
    let doing = "drawing keys for Secure Boot";
    let settings = folder.join("settings");
    let openssl = |arguments: &[&str]| {
        let tool = base_program(base, "usr/bin/openssl", "openssl", "draw keys for Secure Boot");
        let run = tool.and_then(|tool| tool.dir(folder).env("OPENSSL_CONF", &settings).args(arguments).run());
        run.map_err(|source| KeysError::Program { doing, source })
    };
    let write =
        |name: &str, bytes: &[u8]| fs::write(folder.join(name), bytes).map_err(io("writing", &folder.join(name)));
    let read = |name: &str| fs::read(folder.join(name)).map_err(io("reading", &folder.join(name)));
    let mut signer = KEYS[0];
    for key in KEYS {
        let file = |ending: &str| format!("{key}.{ending}");
        let (private, certificate, der) = (file("key"), file("crt"), file("der"));
        // A name has room for 64 letters.
        let short: String = name.chars().take(48).collect();
        write("settings", SETTINGS.replace("NAME", &format!("{short} {key}")).as_bytes())?;
        let request =
            ["req", "-new", "-x509", "-newkey", "rsa:2048", "-noenc", "-sha256", "-days", DAYS, "-config", "settings"];
        openssl(&[&request[..], &["-keyout", &private, "-out", &certificate]].concat())?;
        openssl(&["x509", "-in", &certificate, "-outform", "DER", "-out", &der])?;
        let variable = Variable::new(key, &read(&der)?, owner, now);
        write("variable", &variable.to_sign())?;
        let (by, with) = (format!("{signer}.crt"), format!("{signer}.key"));
        let sign = ["smime", "-sign", "-binary", "-noattr", "-md", "sha256", "-outform", "DER", "-in", "variable"];
        openssl(&[&sign[..], &["-signer", &by, "-inkey", &with, "-out", "signature"]].concat())?;
        write(&file("auth"), &variable.with(&read("signature")?).ok_or(KeysError::NoSignature)?)?;
        signer = key;
    }
    ["settings", "variable", "signature"].into_iter().try_for_each(|name| {
        let path = folder.join(name);
        fs::remove_file(&path).map_err(io("removing", &path))
    })
}

/// Signs a program for UEFI: the signature alone (PKCS #7, as Authenticode has it). `folder` has the key and its certificate.
///
/// # Errors
/// See [`KeysError`].
pub fn sign(base: &Path, folder: &Path, image: &Path) -> Result<Vec<u8>, KeysError> {
    let doing = "signing by the machine's own key";
    let tool = base_program(base, "usr/bin/sbsign", SBSIGNTOOL, "sign by the machine's own key");
    let tool = tool.map_err(|source| KeysError::Program { doing, source })?;
    let signature = folder.join("signature");
    let tool = tool.dir(folder).args(["--key", KEY, "--cert", CERTIFICATE, "--detached", "--output"]);
    let signed = tool.arg(&signature).arg(image).run();
    signed.map_err(|source| KeysError::Program { doing, source })?;
    let bytes = fs::read(&signature).map_err(io("reading", &signature))?;
    fs::remove_file(&signature).map_err(io("removing", &signature))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use cairn_process::Tool;

    use super::*;

    fn run(folder: &Path, words: &[&str]) -> Result<(), ToolError> {
        Tool::new(words[0], "openssl sbsigntool", "test").dir(folder).args(&words[1..]).run()
    }

    /// DER: a tag, a length of two bytes, what is in it.
    fn der(tag: u8, inside: &[u8]) -> Vec<u8> {
        [&[tag, 0x82], &u16::try_from(inside.len()).unwrap().to_be_bytes()[..], inside].concat()
    }

    /// On Debian this machine is a base too.
    #[test]
    fn other_programs_find_the_keys_and_the_signatures_good() {
        let folder = tempfile::tempdir().unwrap();
        let (base, at) = (Path::new("/"), folder.path());
        for program in ["openssl", "sbsign", "sbverify"] {
            if !base.join("usr/bin").join(program).exists() {
                return cairn_testkit::skip(format!("`apt-get install openssl sbsigntool` brings {program}"));
            }
        }
        let name = "a-name-that-is-as-long-as-a-name-of-a-computer-can-be-and-no-longer";
        draw(base, name, Uuid::nil(), 1_793_538_127, at).unwrap();
        let mut names: Vec<String> =
            fs::read_dir(at).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        let all = ["PK", "KEK", "db"].map(|key| ["auth", "crt", "der", "key"].map(|ending| format!("{key}.{ending}")));
        let mut all: Vec<String> = all.into_iter().flatten().collect();
        all.sort();
        assert_eq!(names, all);
        for (key, signer) in [("PK", "PK"), ("KEK", "PK"), ("db", "KEK")] {
            let private = fs::metadata(at.join(format!("{key}.key"))).unwrap();
            assert_eq!(private.permissions().mode() & 0o777, 0o600);
            // What the firmware asks: is the value, with its name and time, signed by whom it has to be?
            let bytes = fs::read(at.join(format!("{key}.auth"))).unwrap();
            let signature = &bytes[40..16 + usize::from(u16::from_le_bytes([bytes[16], bytes[17]]))];
            let oid = [0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2];
            fs::write(at.join("signature"), der(0x30, &[&oid[..], &der(0xa0, signature)].concat())).unwrap();
            let variable =
                Variable::new(key, &fs::read(at.join(format!("{key}.der"))).unwrap(), Uuid::nil(), 1_793_538_127);
            fs::write(at.join("value"), variable.to_sign()).unwrap();
            let signers = format!("{signer}.crt");
            let verify = ["openssl", "smime", "-verify", "-inform", "DER", "-in", "signature", "-binary", "-content"];
            let verify = |content| run(at, &[&verify[..], &[content, "-CAfile", &signers, "-out", "out"]].concat());
            verify("value").unwrap();
            fs::write(at.join("other"), &variable.to_sign()[1..]).unwrap();
            verify("other").unwrap_err();
            assert!(bytes.ends_with(&fs::read(at.join(format!("{key}.der"))).unwrap()));
        }
    }
}
