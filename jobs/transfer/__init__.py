"""Jobs as a file: out of one installation into another, and out of Bull, BullMQ and Agenda into this one."""
