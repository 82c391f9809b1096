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
