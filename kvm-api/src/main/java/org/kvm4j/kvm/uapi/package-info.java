/** The uapi: request numbers, structure layouts, constants, errno values. */
@NullMarked
package org.kvm4j.kvm.uapi;

import org.jspecify.annotations.NullMarked;
