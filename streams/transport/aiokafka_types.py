"""The aiokafka names that the transport uses. aiokafka ships no types: they are Any here and typed where wrapped."""

from __future__ import annotations

from typing import Any, TypeAlias

import aiokafka
import aiokafka.abc
import aiokafka.admin
import aiokafka.admin.config_resource
import aiokafka.client
import aiokafka.codec
import aiokafka.conn
import aiokafka.coordinator.assignors.sticky.sticky_assignor as sticky
import aiokafka.coordinator.protocol
import aiokafka.errors
import aiokafka.protocol.admin
import aiokafka.protocol.commit
import aiokafka.protocol.fetch
import aiokafka.protocol.group
import aiokafka.protocol.metadata
import aiokafka.protocol.offset
import aiokafka.record.default_records
import aiokafka.record.memory_records
import aiokafka.record.util

Untyped: TypeAlias = Any
"""A value of an aiokafka type."""

Consumer: Any = aiokafka.AIOKafkaConsumer
Producer: Any = aiokafka.AIOKafkaProducer
Client: Any = aiokafka.client.AIOKafkaClient
AdminClient: Any = aiokafka.admin.AIOKafkaAdminClient
TopicPartition: Any = aiokafka.TopicPartition
ConfigResource: Any = aiokafka.admin.config_resource.ConfigResource
ConfigResourceType: Any = aiokafka.admin.config_resource.ConfigResourceType
NewPartitions: Any = aiokafka.admin.NewPartitions
RebalanceListener: Any = aiokafka.abc.ConsumerRebalanceListener
StickyAssignor: Any = sticky.StickyPartitionAssignor
MemberAssignment: Any = aiokafka.coordinator.protocol.ConsumerProtocolMemberAssignment
ConnectionGroup: Any = aiokafka.client.ConnectionGroup
CoordinationType: Any = aiokafka.client.CoordinationType
DescribeGroupsRequest: Any = aiokafka.protocol.admin.DescribeGroupsRequest
FetchRequest: Any = aiokafka.protocol.fetch.FetchRequest
OffsetFetchRequest: Any = aiokafka.protocol.commit.OffsetFetchRequest
HeartbeatRequest: Any = aiokafka.protocol.group.HeartbeatRequest
SyncGroupRequest: Any = aiokafka.protocol.group.SyncGroupRequest
LeaveGroupRequest: Any = aiokafka.protocol.group.LeaveGroupRequest
ListOffsetsRequest: Any = aiokafka.protocol.offset.OffsetRequest
MetadataRequest: Any = aiokafka.protocol.metadata.MetadataRequest
DescribeConfigsRequest: Any = aiokafka.protocol.admin.DescribeConfigsRequest
BatchBuilder: Any = aiokafka.record.default_records.DefaultRecordBatchBuilder
MemoryRecords: Any = aiokafka.record.memory_records.MemoryRecords
codecs: Any = aiokafka.codec
collect_hosts: Any = aiokafka.conn.collect_hosts
BrokerConnection: Any = aiokafka.conn.AIOKafkaConnection
create_conn: Any = aiokafka.conn.create_conn
calc_crc32c: Any = aiokafka.record.util.calc_crc32c
decode_varint: Any = aiokafka.record.util.decode_varint
encode_varint: Any = aiokafka.record.util.encode_varint
errors: Any = aiokafka.errors
KafkaError: type[Exception] = aiokafka.errors.KafkaError
"""The base class of aiokafka's exceptions."""
