//! Clients of one kind by TCP, Unix and TLS: each way gives a Deferred of the protocol.

use super::{greet, tell};
use ropewalk::ported::ClientCreator;
use ropewalk::{
    Connected, Deferred, Protocol, Reactor, Result, ServerEndpoint, Transport, Trigger,
};

/// Says once what it heard first.
struct Hearer {
    hearing: Option<Trigger<String>>,
    heard: Option<Deferred<String>>,
}

impl Hearer {
    fn new() -> Hearer {
        let (hearing, heard) = Deferred::new();
        Hearer { hearing: Some(hearing), heard: Some(heard) }
    }
}

impl Protocol for Hearer {
    fn data_received(&mut self, _: &Transport, data: &[u8]) -> Result {
        if let Some(hearing) = self.hearing.take() {
            hearing.callback(data.escape_ascii().to_string())?;
        }
        Ok(())
    }
}

async fn hear(way: &str, connecting: Deferred<Connected<Hearer>>) -> Result {
    let connected = connecting.await?;
    let heard = connected.call(|hearer, _| hearer.heard.take().expect("it is asked once"));
    tell(format_args!("by {way}: {}", heard.await?));
    connected.transport().lose_connection();
    Ok(())
}

pub(crate) fn connect_every_way(reactor: &Reactor) -> Result {
    let creator = ClientCreator::new(reactor, Hearer::new);
    let port = reactor.serve("127.0.0.1:0", greet)?;
    reactor.run_until(hear("TCP", creator.connect_tcp(port.host())))?;

    let path = std::env::temp_dir().join(format!("ropewalk-{}.sock", std::process::id()));
    reactor.serve(ServerEndpoint::unix(&path), greet)?;
    reactor.run_until(hear("Unix", creator.connect_unix(&path)))?;

    #[cfg(feature = "tls")]
    {
        use ropewalk::tls::{ClientConfig, Identity, ServerConfig};
        let identity = Identity::self_signed(&["127.0.0.1"])?;
        let trusting = ClientConfig::trusting(identity.certificate_pem());
        let port = reactor
            .serve(ServerEndpoint::from("127.0.0.1:0").tls(&ServerConfig::new(identity)), greet)?;
        reactor.run_until(hear("TLS", creator.connect_tls(port.host(), &trusting)))?;
    }
    Ok(())
}
