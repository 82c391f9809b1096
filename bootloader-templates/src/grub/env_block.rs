//! The environment block: 512 bytes in which GRUB keeps what it must know at the next start.
//!
//! GRUB writes it in place, into the sectors that the file has. One of a single sector is therefore either the old or the
//! new one, whenever the power fails. Who writes it from Linux writes the same single sector in place.

/// How the file begins.
const SIGNATURE: &[u8] = b"# GRUB Environment Block\n";

/// The variables of a block, in their order. Those that are not Cairn's are kept as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EnvBlock {
    variables: Vec<(String, String)>,
}

/// Why a block could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BlockError {
    /// It does not begin as GRUB's do: GRUB does not read it either.
    #[error("the file is no GRUB environment block")]
    Signature,
    /// A variable that cannot be in a block.
    #[error("the variable {0:?} cannot be in a GRUB environment block")]
    Variable(String),
    /// Too much for one sector.
    #[error("the variables need {0} bytes, and a block has {size}", size = EnvBlock::SIZE)]
    Full(usize),
}

impl EnvBlock {
    /// Its length in bytes: one sector.
    pub const SIZE: usize = 512;

    /// A block without variables.
    pub fn new() -> EnvBlock {
        EnvBlock::default()
    }

    /// Reads a block, of any length.
    ///
    /// # Errors
    /// [`BlockError::Signature`]; [`BlockError::Variable`] when the text between the variables is not UTF-8.
    pub fn parse(bytes: &[u8]) -> Result<EnvBlock, BlockError> {
        let mut rest = bytes.strip_prefix(SIGNATURE).ok_or(BlockError::Signature)?;
        let mut variables: Vec<(String, String)> = Vec::new();
        // As GRUB: a line ends at a newline that no backslash stands before, and one without an end does not count.
        while let Some((line, after)) = line(rest) {
            rest = after;
            if line.first() == Some(&b'#') {
                continue;
            }
            let Some(at) = line.iter().position(|b| *b == b'=') else { continue };
            let text = |bytes: &[u8]| {
                String::from_utf8(bytes.to_vec())
                    .map_err(|_| BlockError::Variable(String::from_utf8_lossy(bytes).into_owned()))
            };
            variables.push((text(&line[..at])?, text(&unescaped(&line[at + 1..]))?));
        }
        Ok(EnvBlock { variables })
    }

    /// The block's bytes, [`EnvBlock::SIZE`] of them.
    ///
    /// # Errors
    /// [`BlockError::Full`], [`BlockError::Variable`].
    pub fn to_bytes(&self) -> Result<[u8; EnvBlock::SIZE], BlockError> {
        let mut bytes = SIGNATURE.to_vec();
        for (name, value) in &self.variables {
            if name.is_empty()
                || name.starts_with('#')
                || name.contains(['=', '\n', '\\', '\0'])
                || value.contains('\0')
            {
                return Err(BlockError::Variable(name.clone()));
            }
            bytes.extend_from_slice(name.as_bytes());
            bytes.push(b'=');
            for byte in value.bytes() {
                if matches!(byte, b'\\' | b'\n') {
                    bytes.push(b'\\');
                }
                bytes.push(byte);
            }
            bytes.push(b'\n');
        }
        let needed = bytes.len();
        bytes.resize(needed.max(EnvBlock::SIZE), b'#');
        bytes.try_into().map_err(|_| BlockError::Full(needed))
    }

    /// The value of a variable.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// Sets a variable.
    pub fn set(&mut self, name: &str, value: &str) {
        match self.variables.iter_mut().find(|(n, _)| n == name) {
            Some((_, old)) => *old = value.to_string(),
            None => self.variables.push((name.to_string(), value.to_string())),
        }
    }

    /// Takes a variable out.
    pub fn unset(&mut self, name: &str) {
        self.variables.retain(|(n, _)| n != name);
    }

    /// Gives the trial of this key its tries, so that it is what boots next; what was to boot once, and what was chosen
    /// last, is forgotten.
    pub fn arm(&mut self, key: &str, tries: u8) {
        self.set("cairn_try", key);
        self.set("cairn_left", &tries.to_string());
        self.unset("next_entry");
        self.unset("saved_entry");
    }

    /// Ends the counting: the default is entry 0 again.
    pub fn disarm(&mut self) {
        self.unset("cairn_try");
        self.unset("cairn_left");
    }

    /// The key of the generation that is or was tried, and how many tries are left to it.
    pub fn trial(&self) -> Option<(&str, u8)> {
        let key = self.get("cairn_try").filter(|key| !key.is_empty())?;
        Some((key, self.get("cairn_left")?.parse().ok()?))
    }

    /// Lets the next start, and only that, boot the entry of this path (see [`super::menu_path`]).
    pub fn once(&mut self, path: &str) {
        self.set("next_entry", path);
    }
}

/// The first line without its newline, and what comes after it.
fn line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\n' => return Some((&bytes[..at], &bytes[at + 1..])),
            // In a comment, and in the padding, a backslash is a character like others.
            b'\\' if bytes[0] != b'#' => at += 2,
            _ => at += 1,
        }
    }
    None
}

fn unescaped(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    let mut bytes = value.iter();
    while let Some(&byte) = bytes.next() {
        let byte = if byte == b'\\' { bytes.next().copied() } else { Some(byte) };
        out.extend(byte);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_one_sector_and_reads_back() {
        let mut block = EnvBlock::new();
        block.set("other", "a=b \\ and\na new line");
        block.arm("2-abc", 3);
        let bytes = block.to_bytes().unwrap();
        let head = "# GRUB Environment Block\nother=a=b \\\\ and\\\na new line\ncairn_try=2-abc\ncairn_left=3\n#####";
        assert!(bytes.starts_with(head.as_bytes()), "{}", String::from_utf8_lossy(&bytes));
        assert!(bytes.ends_with(b"####"));
        assert_eq!(EnvBlock::parse(&bytes).unwrap(), block);
        assert_eq!(block.trial(), Some(("2-abc", 3)));
        block.disarm();
        assert_eq!((block.trial(), block.get("other")), (None, Some("a=b \\ and\na new line")));
    }

    #[test]
    fn arming_forgets_what_was_chosen_before() {
        let mut block = EnvBlock::new();
        block.set("saved_entry", "x");
        block.once("cairn-all>1-a");
        assert_eq!(block.get("next_entry"), Some("cairn-all>1-a"));
        block.arm("2-b", 2);
        assert_eq!((block.get("saved_entry"), block.get("next_entry")), (None, None));
    }

    #[test]
    fn what_is_no_block_is_not_read() {
        for bytes in [&[0; 512][..], b"", b"# GRUB Environment Bloc", b"cairn_left=3\n"] {
            assert_eq!(EnvBlock::parse(bytes), Err(BlockError::Signature));
        }
        assert!(matches!(EnvBlock::parse(b"# GRUB Environment Block\na=\xff\n"), Err(BlockError::Variable(_))));
        // A line that does not end is padding, or torn.
        assert_eq!(EnvBlock::parse(b"# GRUB Environment Block\na=1\nb=2").unwrap().variables.len(), 1);
        assert_eq!(EnvBlock::parse(b"# GRUB Environment Block\n# WARNING: b=2\na=1\n").unwrap().variables.len(), 1);
        // In a comment a backslash hides no newline.
        assert_eq!(EnvBlock::parse(b"# GRUB Environment Block\n# a\\\nb=1\n").unwrap().get("b"), Some("1"));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut block = EnvBlock::new();
        // 25 bytes of signature, "a=", a newline.
        block.set("a", &"x".repeat(512 - 28));
        assert!(block.to_bytes().is_ok());
        block.set("a", &"x".repeat(512 - 27));
        assert_eq!(block.to_bytes(), Err(BlockError::Full(513)));
        for name in ["", "a=b", "a\nb", "#a", "a\\b", "a\0b"] {
            let mut block = EnvBlock::new();
            block.set(name, "1");
            assert_eq!(block.to_bytes(), Err(BlockError::Variable(name.into())));
        }
    }
}
