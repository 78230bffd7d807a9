//! The hook of a member for its state.

use std::sync::Weak;

use prost::Message as _;
use swim_core::SplitMix64;
use tokio::time::sleep;
use tonic::codegen::Bytes;

use super::super::*;
use super::world::{KEYS, Setup, World, key};
use crate::generated::{MapEntries, MapEntry};
use crate::hand_off::{HandOffError, Map, MoveEnd};

/// A hook that takes its time, and works, or fails and hangs.
struct Hook {
    member: usize,
    random: Mutex<SplitMix64>,
    map: Arc<Map>,
    world: Weak<World>,
}

impl std::fmt::Debug for Hook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hook").field("member", &self.member).finish_non_exhaustive()
    }
}

/// Members with such hooks.
pub(super) fn begin(setup: Setup) -> Arc<World> {
    World::new(setup, |member, world, map| {
        let seed = SplitMix64::new(setup.seed ^ ((member as u64 + 1) << 32)).next();
        let (random, map, world) =
            (Mutex::new(SplitMix64::new(seed)), Arc::clone(map), Weak::clone(world));
        Arc::new(Hook { member, random, map, world })
    })
}

impl Hook {
    fn world(&self) -> Arc<World> {
        self.world.upgrade().expect("the world outlives what happens in it")
    }

    async fn work(&self, planned: &PlannedMove) -> Result<(), HandOffError> {
        let world = self.world();
        world.parts.lock().unwrap().push((self.member, planned.clone(), Clock::now()));
        let (what, time) = {
            let mut random = self.random.lock().unwrap();
            (random.next() % 8, Duration::from_millis(random.next() % 900))
        };
        match what {
            _ if world.setup.hooks_work => sleep(time / 3).await,
            0 => std::future::pending().await,
            1 => return Err(HandOffError::failed("it fails")),
            2..5 => {}
            _ => sleep(time).await,
        }
        Ok(())
    }

    /// What `Map::give` does over connections.
    async fn send(&self, planned: &PlannedMove) -> Result<(), HandOffError> {
        let world = self.world();
        for key in (0..KEYS).map(key) {
            let Some(receiver) = planned.receiver(key.as_bytes()) else { continue };
            let Some(value) = self.map.get(key.as_bytes()) else { continue };
            let to = world.index(receiver);
            let entries = vec![MapEntry { key: key.into(), value: Some(value) }];
            let chunk: Bytes = MapEntries { entries }.encode_to_vec().into();
            // The receiver may not know of the move yet.
            loop {
                let has_come = world.travel(self.member, to).await;
                let part = world.places[to].planner.part_of(planned.mover_address());
                if let Some(part) = part.filter(|_| has_come) {
                    world.places[to].map.receive(&part, chunk).await?;
                    break;
                }
                if planned.remaining().is_zero() {
                    return Err(HandOffError::Deadline);
                }
                sleep(Duration::from_millis(5)).await;
            }
        }
        Ok(())
    }
}

#[tonic::async_trait]
impl HandOff for Hook {
    async fn give(&self, planned: PlannedMove) -> Result<(), HandOffError> {
        self.work(&planned).await?;
        if self.world().setup.hooks_work {
            self.send(&planned).await?;
        }
        Ok(())
    }

    async fn receive(&self, _: &PlannedMove, _: Bytes) -> Result<(), HandOffError> {
        Ok(())
    }

    async fn prepare(&self, planned: PlannedMove) -> Result<(), HandOffError> {
        self.map.prepare(planned.clone()).await?;
        self.work(&planned).await
    }

    fn ended(&self, planned: &PlannedMove, end: MoveEnd) {
        let world = self.world();
        let mut parts = world.parts.lock().unwrap();
        if let Some(i) = parts.iter().position(|(_, part, _)| part.is_same(planned)) {
            let (_, _, began) = parts.remove(i);
            let (took, most) = (began.elapsed(), world.parts_end());
            world.must(took <= most, || format!("a part in a move took {took:?} of {most:?}"));
        }
        drop(parts);
        self.map.ended(planned, end);
    }
}
