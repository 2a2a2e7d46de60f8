"""Peers: the methods of anomalib, fitted to the same images at the same resolution, and judged by our metrics."""

from realnet.lab.peers.fitting import PeerConfig, PeerOutcome, fit_peer
from realnet.lab.peers.table import PEERS, Peer

__all__ = ["PEERS", "Peer", "PeerConfig", "PeerOutcome", "fit_peer"]
