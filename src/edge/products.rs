//! Products at a start: their cards, and rules that a crash has left half set.

use std::time::Duration;

use crate::config::products::ProductSettings;
use crate::config::products::products;
use crate::edge::clock;
use crate::pipeline::core::Pipeline;
use crate::pipeline::products::Assigning;

/// Puts every card into the product that the configuration says, and gives every slot the rules that the first one has.
/// A journal that fails ends it: the next start goes on.
pub(super) async fn settle(pipeline: &Pipeline, settings: &[ProductSettings]) {
    let (now, products) = (clock::now(), products(settings));
    let mut pass = Assigning::default();
    while !pipeline.assign_products(&|pan| products.of(pan), &mut pass, now) {
        if !waits(pipeline).await {
            return;
        }
    }
    if pass.moved > 0 {
        tracing::info!(cards = pass.moved, "cards are of another product than before");
    }
    loop {
        match pipeline.level_products(now) {
            Some(0) => return,
            Some(rules) => {
                tracing::info!(rules, "what was half set for products is set everywhere");
                return;
            }
            None if waits(pipeline).await => {}
            None => return,
        }
    }
}

/// Waits for the writer; `false` when the journal has failed.
async fn waits(pipeline: &Pipeline) -> bool {
    pipeline.wake_writer();
    tokio::time::sleep(Duration::from_millis(1)).await;
    !pipeline.has_failed()
}
