//! The links that make systems numbered generations.

use cairn_process::Refusal;
use cairn_store::profile;

use crate::view::{Files, MOST_GENERATIONS, PROFILES, ViewError};
use crate::words::runs;

/// A generation's link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The number.
    pub number: u64,
    /// What it says: the path of a system, where it is sound.
    pub system: String,
}

impl Link {
    /// When it was made, in seconds since 1970: the time of the link itself.
    ///
    /// # Errors
    /// What reading meets.
    pub fn time(&self, files: &dyn Files) -> Result<Option<i64>, ViewError> {
        files.modified(&format!("{PROFILES}/{}", profile::link_name(self.number)))
    }
}

/// The links of the generations, by number, and the number of the one that the profile points at.
///
/// # Errors
/// What reading meets; [`ViewError::TooManyGenerations`].
pub fn links(files: &dyn Files) -> Result<(Vec<Link>, Option<u64>), ViewError> {
    let mut links = Vec::new();
    let names = files.list(PROFILES)?.unwrap_or_default();
    if names.iter().filter(|name| profile::generation(name).is_some()).count() > MOST_GENERATIONS {
        return Err(ViewError::TooManyGenerations { path: PROFILES.into() });
    }
    for name in names {
        let Some(number) = profile::generation(&name) else { continue };
        if let Some(system) = files.link(&format!("{PROFILES}/{name}"))? {
            keep(files, &name, system.len())?;
            links.push(Link { number, system });
        }
    }
    links.sort_by_key(|link| link.number);
    let current = files.link(&format!("{PROFILES}/{}", profile::SYSTEM))?;
    let current = current.and_then(|target| profile::generation(target.rsplit('/').next()?));
    Ok((links, current))
}

/// Puts what is kept of a stranger's file on the account of all that is looked at.
pub(crate) fn keep(files: &dyn Files, path: &str, bytes: usize) -> Result<(), ViewError> {
    files.budget().keep(bytes).map_err(|why| ViewError::Endless { path: path.to_string(), why })
}

/// The link of one generation.
///
/// # Errors
/// What is not there is refused with what is.
pub fn find(links: &[Link], number: u64) -> Result<&Link, Refusal> {
    links.iter().find(|link| link.number == number).ok_or_else(|| {
        let there = match links {
            [] => "there are none".to_string(),
            links => format!("there are {}", runs(links.iter().map(|l| l.number)).join(", ")),
        };
        Refusal(format!("there is no generation {number}; {there}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_refused_with_what_is() {
        let links = [1, 3].map(|number| Link { number, system: "s".into() });
        assert_eq!(find(&links, 3).unwrap().number, 3);
        assert_eq!(find(&links, 2).unwrap_err().0, "there is no generation 2; there are 1, 3");
        assert_eq!(find(&[], 2).unwrap_err().0, "there is no generation 2; there are none");
    }
}
