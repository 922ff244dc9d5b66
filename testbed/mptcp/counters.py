"""The names under which an endpoint counts, and what each counts.

Linux's names where Linux has one (net/mptcp/mib.c, net/ipv4/proc.c), so that both can be laid side by side;
a meaning that begins with "ours:" marks the others. Decides nothing; tests/house/test_counters.py holds this
table against every call that counts. Read first: context.py.
"""

from __future__ import annotations

COUNTERS = {
    # The handshake.
    "MPCapableSYNRX": "SYNs with MP_CAPABLE received",
    "MPCapableSYNTX": "SYNs with MP_CAPABLE sent",
    "MPCapableSYNACKRX": "SYN/ACKs with MP_CAPABLE received",
    "MPCapableACKRX": "third ACKs, or first data, with MP_CAPABLE received",
    "MPCapableFallbackACK": "servers that fell back for want of MP_CAPABLE in the third packet",
    "MPCapableFallbackSYNACK": "clients that fell back for want of MP_CAPABLE in the SYN/ACK",
    "MPCapableSYNTXDrop": "clients that gave MP_CAPABLE up after unanswered SYNs",
    "SimultConnectFallback": "connections that both ends opened at once, which MP_CAPABLE does not know",
    "SyncookiesSent": "SYN/ACKs sent statelessly",
    "SyncookiesRecv": "valid SYN cookies received",
    "SyncookiesFailed": "ACKs that brought back no valid SYN cookie",
    "InAddrErrors": "segments for no connection whose addresses cannot be those of two hosts",
    "ListenOverflows": "SYNs dropped because the half-open queue was full",
    # Fast Open.
    "TCPFastOpenActive": "SYNs whose data the server took",
    "TCPFastOpenActiveFail": "SYNs whose data the server refused, or that went unanswered",
    "TCPFastOpenPassive": "SYNs received whose cookie was good",
    "TCPFastOpenPassiveFail": "SYNs received whose cookie was no good",
    "TCPFastOpenCookieReqd": "SYNs received that ask for a cookie",
    "TCPFastOpenListenOverflow": "SYNs with a cookie that got an ordinary handshake: too many were waiting",
    "TCPFastOpenBlackhole": "times that a client stopped using Fast Open: data after the SYN got lost",
    # Further subflows.
    "MPJoinSynTx": "SYNs with MP_JOIN sent",
    "MPJoinSynRx": "SYNs with MP_JOIN received",
    "MPJoinSynBackupRx": "of them, those that ask for a backup subflow",
    "MPJoinPortSynRx": "of them, those to a port that ADD_ADDR announced",
    "MPJoinNoTokenFound": "SYNs with MP_JOIN whose token belongs to no connection",
    "MPJoinRejected": "SYNs with MP_JOIN refused: too many subflows, or an address that takes none",
    "MPJoinSynAckRx": "SYN/ACKs with MP_JOIN received",
    "MPJoinSynAckBackupRx": "of them, those that ask for a backup subflow",
    "MPJoinPortSynAckRx": "of them, those from a port that ADD_ADDR announced",
    "MPJoinSynAckHMacFailure": "SYN/ACKs with MP_JOIN whose HMAC was wrong",
    "MPJoinAckRx": "third ACKs with MP_JOIN received: subflows that were accepted",
    "MPJoinPortAckRx": "of them, those to a port that ADD_ADDR announced",
    "MPJoinAckHMacFailure": "third ACKs with MP_JOIN whose HMAC was wrong",
    # Addresses and priorities.
    "AddAddr": "ADD_ADDRs received and taken",
    "AddAddrDrop": "ADD_ADDRs received and ignored: wrong HMAC, no usable address, or too many",
    "AddAddrTx": "ADD_ADDRs sent",
    "AddAddrTxDrop": "ADD_ADDRs not sent because too many signals waited",
    "EchoAdd": "echoes of ADD_ADDR received",
    "EchoAddTx": "echoes of ADD_ADDR sent",
    "EchoAddTxDrop": "echoes of ADD_ADDR not sent because too many signals waited",
    "PortAdd": "ADD_ADDRs with a port received",
    "RmAddr": "REMOVE_ADDRs received",
    "RmAddrTx": "REMOVE_ADDRs sent",
    "RmAddrTxDrop": "REMOVE_ADDRs not sent because too many signals waited",
    "RmSubflow": "subflows closed because an end of them was withdrawn",
    "MPPrioRx": "MP_PRIOs received",
    "MPPrioTx": "MP_PRIOs sent",
    "MPPrioTxDrop": "MP_PRIOs not sent because too many signals waited",
    # Data.
    "DataCsumErr": "mappings whose DSS checksum did not match",
    "DssFallback": "connections that fell back for a bad or missing DSS",
    "DSSNotMatching": "mappings that contradict an earlier one",
    "DSSNoMatchTCP": "mappings that do not fit the TCP sequence numbers they came with",
    "NoDSSInWindow": "data outside of the connection's receive window, dropped",
    "InfiniteMapTx": "infinite mappings sent",
    "InfiniteMapRx": "infinite mappings received",
    "OFOQueue": "segments queued out of data order",
    "DuplicateData": "data that had been received already",
    "RetransSegs": "segments retransmitted",
    "SubflowStale": "subflows put aside because their retransmission timer fired",
    "DataRetrans": "ours: times that the connection's own timer sent data again",
    "DataReinjected": "ours: pieces of data sent again on another subflow",
    "OpportunisticRetrans": "ours: pieces sent again on an idle subflow because a slow one holds them back",
    "SubflowPenalized": "ours: times that the window of such a slow subflow was halved",
    "OutOfWindowIcmps": "ICMP errors that quote nothing in flight, ignored",
    # Ends.
    "MPFailTx": "MP_FAILs sent",
    "MPFailRx": "MP_FAILs received",
    "MPFastcloseTx": "MP_FASTCLOSEs sent",
    "MPFastcloseRx": "MP_FASTCLOSEs received",
    "MPRstTx": "resets with MP_TCPRST sent",
    "MPRstRx": "resets with MP_TCPRST received",
}
