"""Peers: the methods of anomalib, fitted to the same images at the same resolution, and judged by our metrics."""

from realnet.benchmark.peers.fitting import FittedPeer, PeerConfig, PeerOutcome, fit_module, fit_peer
from realnet.benchmark.peers.known_peers import PEERS, Peer

__all__ = ["PEERS", "FittedPeer", "Peer", "PeerConfig", "PeerOutcome", "fit_module", "fit_peer"]
