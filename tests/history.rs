//! The history on disk against a plain list of what it was given, on a disk in memory that fails and loses power.

#[cfg(test)]
mod history {
    pub(crate) mod crash;
    pub(crate) mod damage;
    pub(crate) mod looking;
    #[path = "../memory/mod.rs"]
    pub(crate) mod memory;
    pub(crate) mod model;
}
