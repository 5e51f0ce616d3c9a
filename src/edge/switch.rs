//! The switch as the daemon runs it: its lines from the configuration and from what a start has found, and its clock.

use std::sync::Arc;
use std::sync::Weak;
use std::time::Duration;

use crate::config::Config;
use crate::domain::party::NameId;
use crate::edge::clock;
use crate::edge::link::LinkRuntime;
use crate::pipeline::core::Pipeline;
use crate::pipeline::switching::Line;
use crate::pipeline::switching::Switchboard;
use crate::recovery::Trunks;
use crate::switch::trunk::Trunk;

/// How often deadlines are looked at.
const TICK: Duration = Duration::from_millis(5);

/// The switch of these links, in the order of the configuration. `None` when nothing is routed away, no network is told
/// of cards, and nothing is left of an earlier life in which something was.
#[must_use]
pub fn board(config: &Config, links: &[Arc<LinkRuntime>], mut trunks: Trunks) -> Option<Switchboard> {
    let tells = config.links.iter().any(|link| link.card_file.is_some());
    if config.routes.is_empty() && trunks.is_empty() && !tells {
        return None;
    }
    let lines = config.links.iter().zip(links).map(|(link, runtime)| {
        let mut trunk =
            trunks.remove(&NameId::of(&link.name).0).unwrap_or_else(|| Trunk::new(link.forward.party.bounds));
        trunk.bound(link.forward.party.bounds);
        Line::new(
            &link.name,
            (link.forward.party, link.forward.carriage.clone()),
            Arc::clone(&runtime.channel),
            Arc::clone(&runtime.station),
            trunk,
        )
        .with_card_file(link.card_file.clone())
    });
    let lines = lines.collect();
    let others = trunks.into_iter().map(|(name, trunk)| (NameId(name), trunk)).collect::<Vec<_>>();
    for (NameId(name), trunk) in &others {
        let (open, stored) = (trunk.open().len(), trunk.queue().len());
        tracing::error!(
            link = format!("{name:08x}"),
            open,
            stored,
            "the configuration has no link of this number any more: what is stored for it waits until it has"
        );
    }
    Some(Switchboard::new(config.routes.table().clone(), lines, others))
}

/// Lets time pass for the switch until the daemon is gone.
pub async fn run(pipeline: Weak<Pipeline>, board: Arc<Switchboard>) {
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let Some(pipeline) = pipeline.upgrade() else { return };
        pipeline.tick_switch(&board, clock::now());
    }
}
