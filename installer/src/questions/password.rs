//! What is written down of a password.

use std::fs::File;
use std::io::{self, Read};

use sha_crypt::{Sha512Params, sha512_crypt_b64};

/// How often it is hashed: some tenths of a second for whoever guesses one.
const ROUNDS: usize = 200_000;
/// The characters of a salt, as crypt(5) allows them.
const SALT: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A hash of it as crypt(5) writes it (SHA-512, a salt of its own): `$6$rounds=…`.
///
/// # Errors
/// The system has no random bytes.
pub fn hash(password: &str) -> io::Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    let salt: String = bytes.iter().map(|byte| char::from(SALT[usize::from(byte & 63)])).collect();
    salted(password, &salt)
}

fn salted(password: &str, salt: &str) -> io::Result<String> {
    let failed = |what: &dyn std::fmt::Debug| io::Error::other(format!("hashing the password: {what:?}"));
    let params = Sha512Params::new(ROUNDS).map_err(|error| failed(&error))?;
    let hash = sha512_crypt_b64(password.as_bytes(), salt.as_bytes(), &params).map_err(|error| failed(&error))?;
    Ok(format!("$6$rounds={ROUNDS}${salt}${hash}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_others_make_of_it() {
        // crypt(3) of the C library
        let theirs = "$6$rounds=200000$saltsaltsaltsalt$o589GaWPojWpeAslmY1L7.p8Lez9G4QWuinWlmp7ZSl/ijsC.U3xBMggE1P1xw0TxS9asqLoGaGJrgtp4m.Fe1";
        assert_eq!(salted("correct horse", "saltsaltsaltsalt").unwrap(), theirs);
        assert_ne!(hash("a").unwrap(), hash("a").unwrap());
    }
}
