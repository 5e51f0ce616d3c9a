//! The journal on a disk in memory that can lose power, and on the real one.

#[cfg(test)]
mod journal {
    pub(crate) mod clearing;
    pub(crate) mod crash;
    pub(crate) mod damage;
    pub(crate) mod events;
    pub(crate) mod follow;
    pub(crate) mod forward;
    #[path = "../memory/mod.rs"]
    pub(crate) mod memory;
    pub(crate) mod moved;
    pub(crate) mod records;
    pub(crate) mod settings;
    pub(crate) mod writing;
}
