//! A variable of the firmware's that only whoever has the right key may set (UEFI 2.10, 8.2.2, `EFI_VARIABLE_AUTHENTICATION_2`), with a
//! certificate in it (32.4.1, `EFI_SIGNATURE_LIST`). The signature in between is openssl's.
//!
//! (The sbvarsign of Debian 13, 0.9.4-3.2+deb13u1, signs something else than what it writes, and firmware refuses that.)

use uuid::{Uuid, uuid};

/// Whose PK and KEK are, and whose db is.
const GLOBAL: Uuid = uuid!("8be4df61-93ca-11d2-aa0d-00e098032b8c");
const IMAGES: Uuid = uuid!("d719b2cb-3d3a-4596-a3bc-dad00e67656f");
/// A certificate in a list.
const X509: Uuid = uuid!("a5c059a1-94e4-4aa7-87b5-ab155c2bf072");
/// A signature before a variable.
const PKCS7: Uuid = uuid!("4aafd29d-68df-49ee-8aa9-347d375665a7");
/// It is kept, can be read by the system, and is changed by whoever can sign for it at a later time.
const ATTRIBUTES: u32 = 0x27;
/// `WIN_CERT_TYPE_EFI_GUID`, and the version of its form.
const KIND: (u16, u16) = (0x0200, 0x0ef1);

/// The value of a variable, and when it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Variable {
    name: &'static str,
    time: [u8; 16],
    list: Vec<u8>,
}

impl Variable {
    /// The variable of this name with one certificate (DER) in it, made at this moment (seconds since 1970).
    pub(super) fn new(name: &'static str, certificate: &[u8], owner: Uuid, now: i64) -> Variable {
        let size = u32::try_from(16 + certificate.len()).unwrap_or(u32::MAX);
        let mut list = X509.to_bytes_le().to_vec();
        list.extend([size.saturating_add(28), 0, size].into_iter().flat_map(u32::to_le_bytes));
        list.extend(owner.to_bytes_le());
        list.extend(certificate);
        Variable { name, time: time(now), list }
    }

    /// What is to be signed for it.
    pub(super) fn to_sign(&self) -> Vec<u8> {
        let owner = if self.name == "db" { IMAGES } else { GLOBAL };
        let name: Vec<u8> = self.name.encode_utf16().flat_map(u16::to_le_bytes).collect();
        [&name[..], &owner.to_bytes_le(), &ATTRIBUTES.to_le_bytes(), &self.time, &self.list].concat()
    }

    /// All of it, given the signature (PKCS #7, DER); nothing if that is none.
    pub(super) fn with(&self, signature: &[u8]) -> Option<Vec<u8>> {
        let signature = signed_data(signature)?;
        let mut bytes = self.time.to_vec();
        bytes.extend(u32::try_from(24 + signature.len()).ok()?.to_le_bytes());
        bytes.extend(KIND.0.to_le_bytes());
        bytes.extend(KIND.1.to_le_bytes());
        bytes.extend(PKCS7.to_bytes_le());
        bytes.extend(signature);
        bytes.extend(&self.list);
        Some(bytes)
    }
}

/// `EFI_TIME`, in UTC and with nothing but what the standard allows here.
fn time(now: i64) -> [u8; 16] {
    let date = cairn_boot::date(now);
    let part = |n: usize| date.split('-').nth(n).and_then(|part| part.parse::<u16>().ok()).unwrap_or(1);
    let small = |value: i64| u8::try_from(value).unwrap_or_default();
    let second = now.rem_euclid(86_400);
    let mut bytes = [0; 16];
    bytes[..2].copy_from_slice(&part(0).to_le_bytes());
    bytes[2] = small(part(1).into());
    bytes[3] = small(part(2).into());
    bytes[4..7].copy_from_slice(&[small(second / 3600), small(second / 60 % 60), small(second % 60)]);
    bytes
}

/// What is in a `ContentInfo`: older firmware expects the `SignedData` alone.
fn signed_data(pkcs7: &[u8]) -> Option<&[u8]> {
    let (tag, inside) = value(pkcs7)?;
    let (of, kind) = value(inside)?;
    let rest = inside.get(inside.len().min(kind.len() + 2)..)?;
    let (explicit, data) = value(rest)?;
    ((tag, of, explicit) == (0x30, 0x06, 0xa0)).then_some(data)
}

/// The first value in DER: its tag, and what is in it.
fn value(der: &[u8]) -> Option<(u8, &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (len, rest) = match usize::from(*first) {
        short @ 0..0x80 => (short, rest),
        long => {
            let (digits, rest) = rest.split_at_checked(long - 0x80).filter(|(digits, _)| digits.len() <= 4)?;
            (digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit)), rest)
        }
    };
    Some((*tag, rest.get(..len)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_has_the_form_that_the_standard_gives_it() {
        let variable = Variable::new("db", b"DER", Uuid::nil(), 1_793_538_127);
        // 2026-11-01 13:02:07
        assert_eq!(variable.time, [0xea, 7, 11, 1, 13, 2, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(&variable.list[16..28], [47, 0, 0, 0, 0, 0, 0, 0, 19, 0, 0, 0]);
        assert_eq!(variable.list.len(), 47);
        let signed = variable.to_sign();
        assert!(signed.starts_with(b"d\0b\0\xcb\xb2\x19\xd7") && signed.ends_with(b"DER"));
        assert_eq!(signed[20..24], [0x27, 0, 0, 0]);
        assert!(Variable::new("PK", b"DER", Uuid::nil(), 0).to_sign().starts_with(b"P\0K\0\x61\xdf\xe4\x8b"));
        // ContentInfo, and in it a SignedData of three bytes.
        let whole = variable.with(&[0x30, 8, 0x06, 1, 9, 0xa0, 3, 0x30, 1, 7]).unwrap();
        assert_eq!(whole[16..24], [27, 0, 0, 0, 0, 2, 0xf1, 0x0e]);
        assert_eq!(whole[40..43], [0x30, 1, 7]);
        assert_eq!(whole[43..], variable.list);
    }

    #[test]
    fn what_is_no_signature_makes_no_variable() {
        let variable = Variable::new("PK", b"DER", Uuid::nil(), 0);
        let whole = [0x30, 8, 0x06, 1, 9, 0xa0, 3, 0x30, 1, 7];
        for len in 0..whole.len() {
            assert_eq!(variable.with(&whole[..len]), None, "{len}");
        }
        for at in 0..7 {
            for value in 0..=255 {
                let mut other = whole;
                other[at] = value;
                let _ = variable.with(&other);
            }
        }
        assert_eq!(variable.with(&[0x30, 0x85, 1, 1, 1, 1, 1, 0]), None);
    }
}
