//! A process that moves from Ringpop's transport to gRPC changes its member and not its words.

use std::time::Duration;

use ringpop::{Ringpop, tonic};
use ringpop_tchannel::Bridge;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(60);

/// Lives a whole life, by what both kinds of member have.
macro_rules! live {
    ($builder:expr, $before_bootstrap:expr) => {{
        let list = ringpop::discovery::StaticList::parse("127.0.0.1:1").unwrap();
        let member = $builder
            .listen("127.0.0.1:0".parse().unwrap())
            .identity("seventh")
            .label("version", "1.4.0")
            .discovery(list)
            .start_alone_after(None)
            .expect(1, PATIENCE)
            .bind()
            .await
            .unwrap();
        drop(member);
        let member = $builder.identity("seventh").label("version", "1.4.0").bind().await.unwrap();
        $before_bootstrap(&member);
        assert_eq!(member.app(), "rides");
        assert_eq!(member.view().lookup(b"key"), None, "not before it has joined");
        let bootstrapped = member.bootstrap().await.unwrap();
        assert_eq!((bootstrapped.joined, bootstrapped.members), (vec![], 1));
        let own = member.whoami().to_owned();
        assert_eq!(member.view().lookup(b"key"), Some(own.as_str()));
        assert_eq!(member.view().lookup_n(b"key", 3), [own.as_str()]);
        assert_eq!(member.view().member(&own).unwrap().identity(), "seventh");
        assert_eq!(member.view().membership_checksum, member.membership_checksum());
        assert_eq!(member.view().ring_checksum, member.ring_checksum());
        assert_eq!(member.isolation(), ringpop::swim::Isolation::Alone);
        member.set_labels(ringpop::swim::Labels::new([("version", "2")]).unwrap()).await.unwrap();
        assert_eq!(member.view().member(&own).unwrap().labels.get("version"), Some("2"));
        let mut views = member.views();
        assert_eq!(member.leave_ring(PATIENCE).await.unwrap(), 0, "nobody is there to confirm it");
        let left = views.wait_for(|view| view.member(&own).unwrap().status.as_str() == "leave");
        drop(timeout(PATIENCE, left).await.unwrap().unwrap());
        assert!(member.leave_ring(PATIENCE).await.is_err(), "once is enough");
        member.rejoin(PATIENCE).await.unwrap();
        assert_eq!(member.view().lookup(b"key"), Some(own.as_str()));
        assert!(member.rejoin(PATIENCE).await.is_err(), "once is enough");
        member.evict_self(PATIENCE).await.unwrap();
        assert_eq!(member.view().member(&own).unwrap().status.as_str(), "faulty");
        assert_eq!(member.membership_stats().await.pings_received, 0);
        assert!(member.uptime() > Duration::ZERO);
    }};
}

#[tokio::test]
async fn members_of_both_kinds_share_names_and_behaviour() {
    live!(Bridge::builder("rides"), |_: &Bridge| ());
    live!(Ringpop::builder("rides"), |member: &Ringpop| {
        member.serve(tonic::service::Routes::default()).unwrap();
    });
}
