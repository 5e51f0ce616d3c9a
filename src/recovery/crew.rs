//! Who works side by side. Threads are the edge's; what each of them does is decided here.

/// A piece of work. No two pieces of one round touch the same memory, so that they may be done in any order.
pub type Work<'w> = Box<dyn FnOnce() + Send + 'w>;

/// Those who do it.
pub trait Crew {
    /// Does `own` on the thread of the caller and each piece of `work` on any, and returns when all of it is done.
    fn share<'w>(&self, own: &mut dyn FnMut(), work: Vec<Work<'w>>);
}

/// Nobody but the caller: one piece after the other.
#[derive(Clone, Copy, Debug)]
pub struct Alone;

impl Crew for Alone {
    fn share<'w>(&self, own: &mut dyn FnMut(), work: Vec<Work<'w>>) {
        own();
        work.into_iter().for_each(|piece| piece());
    }
}
