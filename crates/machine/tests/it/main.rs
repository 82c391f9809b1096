//! What machine files may say, and what is said of those that say something else.

mod common;
mod damage;
mod disks;
mod documents;
mod hostile;
mod lock;
mod made_at_boot;
mod mistakes;
mod networks;
mod rules;
mod views;
