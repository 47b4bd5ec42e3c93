// A connection's protocol: each call is the channel's, or that of the protocol which has the connection now.

use super::channel::Channel;
use super::common::Common;
use crate::failure::{Failure, Result};
use crate::protocol::Protocol;
use crate::transport::Transport;
use std::fmt;
use std::os::fd::OwnedFd;
use std::rc::Rc;

/// What a [`Site`](super::Site) builds for a connection: HTTP on it.
pub struct HttpProtocol {
    site: Rc<Common>,
    /// Absent before the connection is made.
    channel: Option<Rc<Channel>>,
}

impl HttpProtocol {
    pub(super) fn new(site: Rc<Common>) -> HttpProtocol {
        HttpProtocol { site, channel: None }
    }
}

impl Drop for HttpProtocol {
    fn drop(&mut self) {
        self.site.leave();
    }
}

impl Protocol for HttpProtocol {
    fn connection_made(&mut self, transport: &Transport) {
        let channel = Rc::new(Channel::new(self.site.clone(), transport.clone()));
        self.site.add(&channel);
        channel.begin_waiting();
        self.channel = Some(channel);
    }

    #[inline]
    fn data_received(&mut self, _: &Transport, data: &[u8]) -> Result {
        match &self.channel {
            Some(channel) => channel.receive(data),
            None => Ok(()),
        }
    }

    fn reading_resumed(&mut self, transport: &Transport) -> Result {
        let Some(channel) = &self.channel else { return Ok(()) };
        match channel.with_upgraded(|protocol| protocol.reading_resumed(transport)) {
            Some(outcome) => outcome,
            None => Ok(()),
        }
    }

    fn connection_lost(&mut self, reason: &Failure) {
        let Some(channel) = self.channel.take() else { return };
        self.site.remove(&channel);
        channel.lost(reason);
        channel.lose_upgraded(reason);
    }

    fn read_closed(&mut self, transport: &Transport) {
        let Some(channel) = &self.channel else { return };
        if channel.with_upgraded(|protocol| protocol.read_closed(transport)).is_none() {
            channel.peer_ended();
        }
    }

    fn write_closed(&mut self, transport: &Transport) {
        if let Some(channel) = &self.channel {
            channel.with_upgraded(|protocol| protocol.write_closed(transport));
        }
    }

    fn drain(&mut self, transport: &Transport) {
        let Some(channel) = &self.channel else { return };
        if channel.with_upgraded(|protocol| protocol.drain(transport)).is_none() {
            channel.drain();
        }
    }

    fn file_descriptor_received(&mut self, transport: &Transport, descriptor: OwnedFd) {
        if let Some(channel) = &self.channel {
            channel.with_upgraded(|it| it.file_descriptor_received(transport, descriptor));
        }
    }

    fn pause_writing(&mut self, transport: &Transport) {
        let Some(channel) = &self.channel else { return };
        if channel.with_upgraded(|protocol| protocol.pause_writing(transport)).is_none() {
            channel.is_full.set(true);
            channel.watch_writing();
        }
    }

    fn resume_writing(&mut self, transport: &Transport) {
        let Some(channel) = &self.channel else { return };
        if channel.with_upgraded(|protocol| protocol.resume_writing(transport)).is_none() {
            channel.is_full.set(false);
            channel.settle(channel.now());
            if let Some(exchange) = channel.current() {
                exchange.wake();
            }
            channel.go_on_later();
        }
    }
}

impl fmt::Debug for HttpProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpProtocol").finish_non_exhaustive()
    }
}
