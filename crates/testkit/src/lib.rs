//! What a test says when it cannot be done where it runs: in one place, so that in CI none is left out in silence.

/// Says that a test cannot be done here, and `why`: a tool is missing, or a right. The caller returns.
///
/// # Panics
/// In CI (`CI=true`), where everything must be there: a skip is a failure.
#[track_caller]
pub fn skip(why: impl std::fmt::Display) {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "cannot be skipped in CI: {why}");
    without_object(why);
}

/// Says that a test has no object here, in CI either: the file system, or the Nix, of this machine does not know what is
/// tested, and no tool brings that.
pub fn without_object(why: impl std::fmt::Display) {
    eprintln!("SKIPPED: {why}");
}
