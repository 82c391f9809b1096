//! Words of GRUB's script language.

use crate::render::{TemplateError, printable, refuse};

/// A word in single quotes. Within them only the single quote means something to GRUB; it is written by closing the
/// quotes, an escaped quote, and opening them again.
pub(crate) fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Checks words for a kernel's command line and splits them at blanks, as they would be by systemd-boot, which joins
/// them all on one line.
///
/// GRUB writes the line anew for the kernel: it doubles `\` and puts one before every quotation mark, which no kernel
/// takes back. So these are refused.
pub(super) fn words(field: &'static str, params: &[String]) -> Result<Vec<String>, TemplateError> {
    let mut words = Vec::new();
    for param in params {
        printable(field, param)?;
        if param.contains(['\\', '"', '\'']) {
            return refuse(field, "a backslash or a quotation mark, which GRUB does not hand on as it is", param);
        }
        words.extend(param.split(' ').filter(|w| !w.is_empty()).map(str::to_string));
    }
    Ok(words)
}

/// Checks a path on the boot partition.
pub(super) fn path(field: &'static str, path: &str) -> Result<(), TemplateError> {
    printable(field, path)?;
    if !path.starts_with('/') {
        return refuse(field, "no slash at its start", path);
    }
    Ok(())
}

/// Checks a name by which the menu is told what to boot. `>` stands between a submenu and its entry.
pub(super) fn id(field: &'static str, id: &str) -> Result<(), TemplateError> {
    printable(field, id)?;
    if !id.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:+".contains(c)) {
        return refuse(field, "something else than letters, digits and -_.:+", id);
    }
    Ok(())
}
