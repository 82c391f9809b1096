//! What is there: a machine below a folder (the running one's `/`, or one that is mounted somewhere) or in an image, its
//! generations, which of them boot, what they changed, the disk that it is on. Everything reads through [`view::Files`], so it is the
//! same for all of these places, and nothing here writes.

pub mod capture;
pub mod diff;
pub mod disk;
pub mod etc;
pub mod foreign;
pub mod generations;
pub mod identity;
pub mod inspect;
pub mod lines;
pub mod links;
mod location;
pub mod made_from;
pub mod observed;
pub mod own_sizes;
pub mod packages;
pub mod record;
pub mod running;
pub mod settings;
pub mod system;
pub mod time;
pub mod view;
pub mod words;

mod error;

pub use error::ObserveError;
pub use location::{Location, look, look_into};
pub use observed::{Observed, Usable};
