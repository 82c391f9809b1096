//! What is not there, where that is no error.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use crate::StoreError;

/// What was found; nothing when it is not there.
pub(crate) fn if_there<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes a file; says whether there was one.
pub(crate) fn remove_file(file: &Path) -> Result<bool, StoreError> {
    Ok(if_there(fs::remove_file(file)).map_err(StoreError::io("removing", file))?.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_told_from_what_cannot_be_reached() {
        assert_eq!(if_there(Ok(7)).unwrap(), Some(7));
        assert_eq!(if_there::<()>(Err(ErrorKind::NotFound.into())).unwrap(), None);
        let error = if_there::<()>(Err(ErrorKind::PermissionDenied.into())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);

        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(remove_file(&file.join("x")).unwrap_err().to_string().ends_with("file/x"));
        assert!(remove_file(&file).unwrap());
        assert!(!remove_file(&file).unwrap());
    }
}
